"""What was drawn during an event, held against its limits and the baseline. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.settlement.delivered import settle
from controller.study.events.part import Run

KEPT_FRAC = 1e-6
"""Of a limit or a commitment: what is missed by less is rounding."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Settlement of all stretches, against one baseline. Arrays are (intervals,).

    Attributes:
        means_w: measured, as means of the settlement intervals after the ramp.
        limits_w: in force in them.
        waits: whether work waited for power all through.
        set_w: draw that the tables in force were made for.
        instants, instants_over: ticks after the ramp; those above the limit.
    """

    baseline_w: float
    means_w: np.ndarray
    limits_w: np.ndarray
    lengths_s: np.ndarray
    waits: np.ndarray
    set_w: np.ndarray
    instants: int
    instants_over: int

    @property
    def over_frac(self) -> np.ndarray:
        """What is above the limit, as a share of it, (intervals,); never negative."""
        share: np.ndarray = np.maximum(0.0, self.means_w - self.limits_w) / self.limits_w
        return share

    @property
    def is_over(self) -> np.ndarray:
        """Whether an interval is above its limit by more than rounding, (intervals,)."""
        return self.over_frac > KEPT_FRAC

    @property
    def committed_w(self) -> np.ndarray:
        """What was committed below the baseline, (intervals,); 0 where the limit was not below it."""
        return np.maximum(0.0, self.baseline_w - self.limits_w)

    @property
    def missing_w(self) -> np.ndarray:
        """What was committed and not delivered, (intervals,); at most what was committed."""
        return np.clip(self.committed_w - (self.baseline_w - self.means_w), 0.0, self.committed_w)

    @property
    def performance(self) -> np.ndarray:
        """Delivered over committed, of the intervals with a commitment."""
        commits = self.committed_w > 0
        share: np.ndarray = (self.baseline_w - self.means_w)[commits] / self.committed_w[commits]
        return share

    @property
    def tracking(self) -> np.ndarray:
        """Distance from the limit, as a share of it, of the intervals in which work waited for power."""
        bound = self.waits & (self.lengths_s > 0)
        share: np.ndarray = np.abs(self.means_w - self.limits_w)[bound] / self.limits_w[bound]
        return share


def delivery_of(run: Run, interval_s: float, baseline_w: float) -> Delivery:
    """Settle the stretches of a run in intervals of that length.

    Raises:
        ValueError: no stretch is as long as an interval.
    """
    case, times_s, power_w = run.part.case, run.part.case.times_s, run.played.power_w
    means, limits, lengths, waits, sets = [], [], [], [], []
    instants, instants_over = 0, 0
    set_w = _set_w(run)
    for event in run.events:
        within = (times_s >= event.start_s) & (times_s < event.end_s)
        samples = tuple(zip(times_s[within].tolist(), power_w[within].tolist(), strict=True))
        for interval in settle(samples, event, baseline_w=baseline_w, interval_s=interval_s).intervals:
            if interval.mean_w is None:
                continue
            means.append(interval.mean_w)
            limits.append(event.limit_w)
            lengths.append(interval.end_s - interval.start_s)
            waits.append(_waits(run, interval.start_s, interval.end_s))
            sets.append(set_w[(times_s >= interval.start_s) & (times_s < interval.end_s)].mean())
        after = within & (times_s >= event.start_s + event.ramp_s)
        instants += int(after.sum())
        instants_over += int((power_w[after] > event.limit_w * (1.0 + KEPT_FRAC)).sum())
    if not means:
        raise ValueError(f"event {run.part.number}: no settlement interval; lengthen it beyond {case.tick_s:g} s")
    return Delivery(
        baseline_w,
        np.array(means),
        np.array(limits),
        np.array(lengths),
        np.array(waits),
        np.array(sets),
        instants,
        instants_over,
    )


def _set_w(run: Run) -> np.ndarray:
    """Draw that the table in force was made for, (intervals,); what was drawn where nothing was decided yet."""
    out = run.played.power_w.copy()
    for at_s, record in run.records:
        if record.set_w is not None:
            out[run.part.case.times_s >= at_s] = record.set_w
    return out


def _waits(run: Run, from_s: float, until_s: float) -> bool:
    """Whether work waited for power all through an interval: more than is asked for in a tick."""
    case = run.part.case
    within = (case.times_s >= from_s) & (case.times_s < until_s)
    least = case.tick_s * float(case.asked_per_s[:, :, 2].sum(axis=1).mean())
    return bool(within.any() and run.played.queued[within].sum(axis=1).min() > least)
