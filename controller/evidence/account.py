"""Settles an event by its evidence: by the same rules as everywhere, on the samples and the baseline kept; pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from controller.evidence.series import Sample
from controller.model.grid import FOREVER_S, GridEvent
from controller.model.meter import Mean
from controller.model.observation import Quality
from controller.model.programme import BaselineMethod, Programme
from controller.settlement.account import EventAccount, account
from controller.settlement.baseline_profile import Baseline, BaselineInterval
from controller.settlement.delivered import Interval, intervals_after_ramp, terms_of
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


def settled(
    events: Sequence[GridEvent],
    samples: Sequence[Sample],
    programme: Programme | None,
    baseline: Baseline | None,
    now_s: float,
) -> tuple[Settled, ...]:
    """Settle each interval of a call, as far as it has gone.

    Args:
        events: the intervals as they were resolved.
        samples: in order of time.
        programme: terms as they were recorded; None for the built-in ones.
        baseline: as it was frozen; None takes the value that the limit was counted from.
        now_s: up to where.
    """
    means = means_of(samples)
    return tuple(_settled(event, means, programme or Programme(event.programme), baseline, now_s) for event in events)


def _settled(
    event: GridEvent, means: Sequence[Mean], programme: Programme, baseline: Baseline | None, now_s: float
) -> Settled:
    until_s = min(event.end_s, now_s)
    if until_s <= event.start_s:
        return Settled(event, None, until_s, "it has not begun")
    terms = terms_of(programme)
    within = [mean for mean in means if event.start_s <= mean.start_s < event.end_s + REBOUND_S]
    if not any(mean.mean_w is not None for mean in within):
        return Settled(event, None, until_s, "nothing was measured")
    known = baseline if baseline is not None and baseline.over(event.start_s, until_s) is not None else None
    if known is None:
        known = _flat(event, programme, until_s)
    if known is None:
        unknown = Baseline(programme.baseline.method, None, "", (), None, None)
        intervals = intervals_after_ramp(within, event, unknown, terms, until_s)
        return Settled(event, None, until_s, "no baseline was known at its start", intervals)
    made = account(event, within, known, terms, until_s)
    return Settled(event, made, until_s, intervals=made.settlement.intervals)


def _flat(event: GridEvent, programme: Programme, until_s: float) -> Baseline | None:
    """The value that the limit was counted from, where no profile was frozen."""
    if event.baseline_w is None:
        return None
    asked: BaselineMethod = programme.baseline.method
    interval = BaselineInterval(event.start_s, min(max(until_s, event.start_s + 1.0), FOREVER_S), event.baseline_w)
    reason = "no profile was frozen: the value that the limit was counted from"
    return Baseline(asked, None, reason, (interval,), event.baseline_w, None)


def means_of(samples: Sequence[Sample]) -> tuple[Mean, ...]:
    """Each sample until the next one, at most `HOLD_S`; one without power is a gap."""
    means = []
    for sample, following in itertools.pairwise([*samples, None]):
        if sample is None:
            continue
        until_s = sample.time_s + HOLD_S if following is None else min(following.time_s, sample.time_s + HOLD_S)
        if sample.power_w is None:
            means.append(Mean(sample.time_s, until_s, None, None, 0.0))
        else:
            quality = Quality(sample.quality) if sample.quality else Quality.ESTIMATED
            means.append(Mean(sample.time_s, until_s, sample.power_w, quality, 1.0))
    return tuple(means)
