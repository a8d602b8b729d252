"""Settles an event by its evidence: by the same rules as everywhere, on the samples and the baseline kept; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from controller.evidence.series import Sample
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, Programme
from controller.settlement.account import AccountFold, EventAccount
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from controller.settlement.intervals import Interval, IntervalFold, terms_of
from controller.settlement.response import REBOUND_S

HOLD_S = 5.0
"""Longest time for which a sample stands, as in the meter store; a gap that is longer is a gap."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One interval of a call, settled.

    Attributes:
        account: None where it cannot be settled.
        intervals: of settlement, after the ramp; without a baseline what was measured is told against the limit alone.
        reason: why not.
        until_s: up to where it was settled; before the end while it is under way.
    """

    event: GridEvent
    account: EventAccount | None
    until_s: float
    reason: str = ""
    intervals: tuple[Interval, ...] = ()


class SettledFold:
    """Settles each interval of a call, as far as it has gone, of samples in order of time; none of them is held.

    Args:
        events: the intervals as they were resolved, by their start.
        programme: terms as they were recorded; None for the built-in ones.
        baseline: as it was frozen; None takes the value that the limit was counted from.
        now_s: up to where.
    """

    def __init__(
        self, events: Sequence[GridEvent], programme: Programme | None, baseline: Baseline | None, now_s: float
    ) -> None:
        self._parts = [_Part(event, programme or Programme(event.programme), baseline, now_s) for event in events]
        self._coming = deque(self._parts)
        self._active: list[_Part] = []
        self._last: Sample | None = None

    def take(self, sample: Sample) -> None:
        """Take the next sample."""
        if self._last is not None:
            self._give(self._last, sample.time_s)
        self._last = sample

    def settled(self) -> tuple[Settled, ...]:
        """Each interval, once all samples were taken."""
        if self._last is not None:
            self._give(self._last, None)
            self._last = None
        return tuple(part.settled() for part in self._parts)

    def _give(self, sample: Sample, following_s: float | None) -> None:
        mean = mean_of(sample, following_s)
        while self._coming and self._coming[0].event.start_s <= mean.start_s:
            self._active.append(self._coming.popleft())
        self._active = [part for part in self._active if mean.start_s < part.event.end_s + REBOUND_S]
        for part in self._active:
            part.take(mean)


class _Part:
    """One interval of a call: its whole account, or where there is no baseline what was measured against the limit."""

    def __init__(self, event: GridEvent, programme: Programme, baseline: Baseline | None, now_s: float) -> None:
        self.event = event
        self._until_s = min(event.end_s, now_s)
        self._is_measured = False
        self._whole: AccountFold | None = None
        self._bare: IntervalFold | None = None
        if self._until_s <= event.start_s:
            return
        terms = terms_of(programme)
        if baseline is not None and _is_known(baseline, event.start_s, self._until_s):
            known: Baseline | None = baseline
        else:
            known = _flat(event, programme, self._until_s, baseline)
        if known is None:
            unknown = Baseline(programme.baseline.method, None, "", (), None, None)
            self._bare = IntervalFold(event, unknown, terms, self._until_s)
        else:
            self._whole = AccountFold(event, known, terms, self._until_s)

    def take(self, mean: Mean) -> None:
        """Take the next mean."""
        self._is_measured = self._is_measured or mean.mean_w is not None
        fold = self._whole or self._bare
        if fold is not None:
            fold.take(mean)

    def settled(self) -> Settled:
        """What came of it."""
        if self._whole is None and self._bare is None:
            return Settled(self.event, None, self._until_s, "it has not begun")
        if not self._is_measured:
            return Settled(self.event, None, self._until_s, "nothing was measured")
        if self._bare is not None:
            reason = "no baseline was known at its start"
            return Settled(self.event, None, self._until_s, reason, self._bare.intervals())
        made = None if self._whole is None else self._whole.account()
        return Settled(self.event, made, self._until_s, intervals=made.settlement.intervals if made else ())


def _is_known(baseline: Baseline, start_s: float, until_s: float) -> bool:
    """Whether any of it is: what is not stays missing, rather than being taken from elsewhere."""
    return any(
        each.baseline_w is not None and each.start_s < until_s and each.end_s > start_s for each in baseline.intervals
    )


def _flat(event: GridEvent, programme: Programme, until_s: float, frozen: Baseline | None) -> Baseline | None:
    """The value that the limit was counted from, where no profile was frozen, or none that tells of this time."""
    if event.baseline_w is None:
        return None
    asked: BaselineMethod = programme.baseline.method
    interval = BaselineInterval(event.start_s, min(max(until_s, event.start_s + 1.0), FOREVER_S), event.baseline_w)
    why = "no profile was frozen" if frozen is None else "the profile that was frozen tells nothing of it"
    reason = f"{why}: the value that the limit was counted from"
    return Baseline(asked, None, reason, (interval,), event.baseline_w, None)


def mean_of(sample: Sample, following_s: float | None) -> Mean:
    """A sample until the next one, at most `HOLD_S`; one without power is a gap.

    Args:
        sample: of power.
        following_s: time of the next sample; None without one.
    """
    until_s = sample.time_s + HOLD_S if following_s is None else min(following_s, sample.time_s + HOLD_S)
    if sample.power_w is None:
        return Mean(sample.time_s, until_s, None, None, 0.0)
    quality = Quality(sample.quality) if sample.quality else Quality.ESTIMATED
    return Mean(sample.time_s, until_s, sample.power_w, quality, 1.0)
