"""What is known of the pools' answers, and who is barred; every bar set or lifted is recorded and told.

It is called by the canary task, the API and the collector, all on one event loop. Bars are restored from the ledger
when the controller starts again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from controller.errors import ControllerError, StoreError
from controller.model.fleet import Site
from controller.model.observation import Barred
from controller.ports import Recorder
from controller.quality.answers import Answer, Comparison
from controller.quality.bars import Bars, Change
from controller.quality.canary import Canaries, Errand, PoolReport

log = logging.getLogger(__name__)

RECORD_KIND = "quality"
RENEW_S = 86_400.0
"""A bar that lasts is recorded again after this time, so that it outlives the retention of old records."""
MAX_REASON = 200
_DOUBT = (
    "no pool has ever agreed with it and all differ now, so that it is the likelier culprit: compare answers by hand, "
    "then POST /v1/quality/barred/NAME for what is broken; bar and lift the reference once it is mended"
)


class BarRefused(ControllerError):  # noqa: N818 - reads as the outcome it is
    """A request about a bar cannot be followed; the text says why, `is_conflict` that the state forbids it."""

    def __init__(self, reason: str, *, is_conflict: bool = False) -> None:
        super().__init__(reason)
        self.is_conflict = is_conflict


@dataclass(frozen=True, slots=True)
class CanaryCounts:
    """What the canary task has done.

    Attributes:
        agreed, differed: canaries by their outcome.
        kept: answers of the reference that were kept to compare with.
        failed: requests that engines did not answer.
        spent_j: energy estimated for all of them.
        paused: why none is sent now: ``off``, ``budget``, ``no_target`` or ``no_reference``; None while they go.
    """

    agreed: int = 0
    differed: int = 0
    kept: int = 0
    failed: int = 0
    spent_j: float = 0.0
    paused: str | None = "off"


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All of it, for metrics and the API.

    Attributes:
        is_reference_doubted: all others differ from a reference with which nobody ever agreed.
        names: of all pools and instances there are.
    """

    pools: tuple[PoolReport, ...]
    barred: tuple[Barred, ...]
    counts: CanaryCounts
    is_reference_doubted: bool = False
    names: tuple[str, ...] = ()


class QualityBook:
    """Canaries' outcomes and operators' words.

    Args:
        bars: shared with `canaries`.
        canaries: what is asked.
        recorder: of the ledger.

    Attributes:
        counts: of the canary task, set by it.
    """

    def __init__(self, bars: Bars, canaries: Canaries, recorder: Recorder) -> None:
        self._bars = bars
        self.canaries = canaries
        self._recorder = recorder
        self._recorded_s: dict[str, float] = {}
        self.counts = CanaryCounts()
        self._is_doubted = False

    def follow(self, site: Site) -> None:
        """Go by the instances there are; bars of those that are gone are forgotten."""
        self._bars.follow(site)
        self.canaries.follow(site)
        names = {bar.name for bar in self._bars.barred}
        self._recorded_s = {name: at_s for name, at_s in self._recorded_s.items() if name in names}

    def barred(self, now_s: float) -> tuple[Barred, ...]:
        """All bars; one that has lasted is recorded again."""
        for bar in self._bars.barred:
            if now_s - self._recorded_s.setdefault(bar.name, now_s) >= RENEW_S:
                self._tell(Change(bar, is_set=True, reason=bar.reason), "kept", now_s)
        return self._bars.barred

    def take(
        self, errand: Errand, answer: Answer, reference: Answer | None, now_s: float
    ) -> tuple[Comparison | None, bool]:
        """Take in a canary: the comparison, if any, and whether a bar was set or lifted."""
        compared, changes = self.canaries.take(errand, answer, reference, now_s)
        for change in changes:
            self._tell(change, "barred" if change.is_set else "readmitted", now_s)
        self._tell_doubt()
        return compared, bool(changes)

    def bar(self, name: str, reason: str, now_s: float) -> Barred:
        """Bar a pool or an instance until an operator lifts that.

        Raises:
            BarRefused: there is none of that name, or it is barred so already.
        """
        try:
            change = self._bars.bar(name, reason[:MAX_REASON], now_s)
        except KeyError as error:
            raise BarRefused(f"no pool and no instance is called {name!r:.80}") from error
        if change is None:
            raise BarRefused(f"{name} is barred by an operator already", is_conflict=True)
        self._tell(change, "barred", now_s)
        if self.canaries.is_reference_doubted:
            self.canaries.forget_kept(name)  # others must not go on being judged by what it answered
            self._tell_doubt()
        return change.barred

    def lift(self, name: str, now_s: float) -> Barred | None:
        """Lift a bar by an operator's word; None where there is none. Kept answers of the reference are forgotten."""
        change = self._bars.lift(name, "by an operator")
        if change is None:
            return None
        self.canaries.forget_kept(name)
        self._tell(change, "readmitted", now_s)
        return change.barred

    def restore(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Take up recorded bars, oldest record first; returns how many are in force."""
        bars: dict[str, Barred] = {}
        for record in records:
            bar = Barred(**record["barred"])
            bars.pop(bar.name, None)
            if record["action"] != "readmitted":
                bars[bar.name] = bar
        self._bars.restore(tuple(bars.values()))
        return len(self._bars.barred)

    def adopt(self, barred: tuple[Barred, ...], now_s: float) -> None:
        """Hold the bars that another controller held, in place of ours."""
        theirs, ours = {bar.name: bar for bar in barred}, {bar.name: bar for bar in self._bars.barred}
        for name in sorted(set(ours) - set(theirs)):
            change = self._bars.lift(name, "lifted where another controller led")
            if change is not None:
                self._tell(change, "readmitted", now_s)
        news = tuple(bar for bar in barred if ours.get(bar.name) != bar)
        self._bars.restore(news)
        for bar in news:
            self._tell(Change(bar, is_set=True, reason=bar.reason), "barred", now_s)

    def count(self, **more: int | float | str | None) -> None:
        """Set fields of `counts`."""
        self.counts = replace(self.counts, **more)  # type: ignore[arg-type]

    def report(self) -> QualityReport:
        """What is known now."""
        canaries = self.canaries
        return QualityReport(
            canaries.reports(), self._bars.barred, self.counts, canaries.is_reference_doubted, self._bars.names
        )

    def _tell_doubt(self) -> None:
        is_doubted = self.canaries.is_reference_doubted
        if is_doubted != self._is_doubted:
            self._is_doubted = is_doubted
            if is_doubted:
                log.error("reference doubted", extra={"subject": self.canaries.references, "reason": _DOUBT})
            else:
                log.warning("reference not doubted any more", extra={"subject": self.canaries.references})

    def _tell(self, change: Change, action: str, now_s: float) -> None:
        bar = change.barred
        level = logging.ERROR if action == "barred" else logging.WARNING
        told = {"subject": bar.name, "source": bar.source, "reason": change.reason}
        log.log(level, "pool or instance %s", action, extra=told)
        self._recorded_s[bar.name] = now_s
        if not change.is_set:
            self._recorded_s.pop(bar.name, None)
        try:
            self._recorder.record(RECORD_KIND, now_s, {"action": action, "barred": asdict(bar), "why": change.reason})
        except StoreError as error:  # the bar holds all the same; it would not outlive the process
            log.error("bar not recorded", extra={"subject": bar.name, "reason": str(error)})
