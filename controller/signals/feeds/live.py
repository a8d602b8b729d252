"""A feed that others tell while the service runs: the last good answers, how old they are, and what went wrong.

`read` is called at every tick and never waits; what it hands out was asked for in the background. A publisher that
stops answering leaves its last series in force, marked stale, until that is too old to act upon or has ended; then the
feed is missing, which is never the same as zero.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from controller.errors import SignalError
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.signals.feeds.outlook import LOOKAHEAD_S, Outlook, revised
from controller.utc_text import utc_minute

log = logging.getLogger(__name__)


class Condition(StrEnum):
    """How far a feed can be believed."""

    WAITING = "waiting"
    """Nothing has been told yet."""
    FRESH = "fresh"
    STALE = "stale"
    """The publisher has been silent for longer than it should; its last series is handed out."""
    EXPIRED = "expired"
    """Its last answer is too old to act upon; nothing is handed out."""


@dataclass(frozen=True, slots=True)
class FeedRules:
    """What is believed.

    Attributes:
        refresh_s: time between two questions.
        stale_s: age of the last answer at which the feed counts as stale.
        max_age_s: age at which nothing is handed out any more.
        least, most: bounds of values, in the feed's unit; an answer with one beyond them is refused.
    """

    refresh_s: float
    stale_s: float
    max_age_s: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a feed stands.

    Attributes:
        name: of the signal.
        source: who tells it, and of what.
        age_s: since the last good answer; None without one.
        ends_s: end of what is known from now on; None where nothing is in force.
        answers, errors: since the start.
        error: what the last question met with; None where all was well.
        remark: what the publisher's answer should be known with.
        gap_s: first gap ahead, from and until; None without one.
    """

    name: str
    source: str
    condition: Condition
    age_s: float | None
    ends_s: float | None
    answers: int
    errors: int
    error: str | None
    remark: str
    gap_s: tuple[float, float] | None


class LiveFeed:
    """Holds what a publisher told; the `Feed` of the collector."""

    def __init__(self, name: str, source: str, rules: FeedRules, lookahead_s: float = LOOKAHEAD_S) -> None:
        """Begin without an answer.

        Args:
            name: of the signal.
            source: who tells it, and of what.
            rules: what is believed.
            lookahead_s: how far ahead `read` hands out; each tick's record holds all of it.
        """
        self.name = name
        self.source = source
        self.rules = rules
        self._lookahead_s = lookahead_s
        self._outlook: Outlook | None = None
        self._taken_s: float | None = None
        self._answers = 0
        self._errors = 0
        self._error: str | None = None
        self._logged = Condition.WAITING

    def take(self, told: Outlook, now_s: float) -> None:
        """Take in an answer.

        Raises:
            SignalError: a value is beyond what can be; what was known before stays in force.
        """
        rules = self.rules
        for one in told.intervals:
            if not rules.least <= one.value <= rules.most:
                raise SignalError(
                    self.source,
                    f"{one.value:.6g} {told.unit} from {utc_minute(one.start_s)} on is not within {rules.least:g} .. "
                    f"{rules.most:g}: is the unit right? Where it is, widen least and most",
                )
        if self._error is not None:
            log.info("feed is back", extra={"feed": self.name, "source": self.source})
        self._outlook = revised(self._outlook, told, now_s)
        self._taken_s, self._error = now_s, None
        self._answers += 1

    def resume(self, kept: Outlook, taken_s: float, now_s: float) -> None:
        """Go on from what an earlier process was told; it is as old as it is."""
        self._outlook, self._taken_s = revised(None, kept, now_s), min(taken_s, now_s)

    @property
    def known(self) -> tuple[Outlook, float] | None:
        """What is held, and when the last of it was told; None before the first answer."""
        return None if self._outlook is None or self._taken_s is None else (self._outlook, self._taken_s)

    def fail(self, reason: str) -> None:
        """Note that a question came to nothing."""
        if reason != self._error:
            log.warning("feed failed", extra={"feed": self.name, "source": self.source, "reason": reason})
        self._error = reason
        self._errors += 1

    def read(self, now_s: float) -> Series | Missing:
        """The series from now up to the next gap, or why there is none; after a clock is set back, age counts anew."""
        if self._taken_s is not None:
            self._taken_s = min(self._taken_s, now_s)
        condition = self._condition(now_s)
        if condition is not self._logged:
            level = logging.INFO if condition is Condition.FRESH else logging.WARNING
            log.log(
                level, "feed changed", extra={"feed": self.name, "source": self.source, "condition": condition.value}
            )
            self._logged = condition
        if self._outlook is None or condition is Condition.WAITING:
            return Missing(self.name, f"{self.source}: {self._error or 'not answered yet'}", now_s)
        if condition is Condition.EXPIRED:
            return Missing(
                self.name, f"{self.source}: last answer {self._age_s(now_s):.0f} s ago{self._because()}", now_s
            )
        series = self._outlook.series(now_s, self._lookahead_s)
        if series is None:
            return Missing(self.name, f"{self.source}: nothing is told of {utc_minute(now_s)}{self._because()}", now_s)
        return series

    def state(self, now_s: float) -> FeedState:
        """How the feed stands."""
        series = None if self._outlook is None else self._outlook.series(now_s)
        is_told = self._condition(now_s) in (Condition.FRESH, Condition.STALE)
        return FeedState(
            name=self.name,
            source=self.source,
            condition=self._condition(now_s),
            age_s=None if self._taken_s is None else self._age_s(now_s),
            ends_s=series.end_s if series is not None and is_told else None,
            answers=self._answers,
            errors=self._errors,
            error=self._error,
            remark="" if self._outlook is None else self._outlook.remark,
            gap_s=None if self._outlook is None else self._outlook.gap(now_s),
        )

    def _age_s(self, now_s: float) -> float:
        return 0.0 if self._taken_s is None else max(0.0, now_s - self._taken_s)

    def _condition(self, now_s: float) -> Condition:
        if self._taken_s is None:
            return Condition.WAITING
        age_s = self._age_s(now_s)
        if age_s >= self.rules.max_age_s:
            return Condition.EXPIRED
        return Condition.STALE if age_s >= self.rules.stale_s else Condition.FRESH

    def _because(self) -> str:
        return "" if self._error is None else f"; since then: {self._error}"
