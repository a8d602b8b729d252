"""A forecaster's record: what it said, how far off it was, and what that cost beside persistence.

Each forecast is kept until its interval is over. The differences give the quantile: the planned value of h intervals
ahead is the point forecast plus the empirical quantile of the last differences at that distance (split conformal
prediction, Vovk et al., "Algorithmic Learning in a Random World", 2005; rank ⌈(n+1)·q⌉). The planned values are scored
by the pinball loss, whose least mean is at the true quantile (Koenker & Bassett, Econometrica 46 (1978) 33-50).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_RESIDUALS = 288
"""Differences kept for each distance: a day of 5-minute intervals."""


@dataclass(frozen=True, slots=True)
class Said:
    """One forecast whose interval is not over.

    Attributes:
        target: the interval.
        point: expected value, in the series' scale.
        planned: value at the quantile, None where too few differences are known.
    """

    target: int
    point: float
    planned: float | None


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one forecaster; tuples have one entry for each lead of the ladder.

    Attributes:
        said: forecasts not yet due, the earliest first.
        residuals: outcome less point forecast, the latest last.
        offsets: what is added to a point forecast for the quantile, None where too few differences are known.
        loss: smoothed mean pinball loss over the leads, in the series' unit.
        reference_loss: persistence's, over the same targets and leads.
        scored: intervals that these are over.
    """

    said: tuple[tuple[Said, ...], ...]
    residuals: tuple[tuple[float, ...], ...]
    offsets: tuple[float | None, ...]
    loss: float = 0.0
    reference_loss: float = 0.0
    scored: int = 0

    @classmethod
    def empty(cls, leads: int) -> Record:
        """Nothing said yet."""
        return cls(((),) * leads, ((),) * leads, (None,) * leads)

    @property
    def loss_ratio(self) -> float | None:
        """Loss beside persistence's, below 1 where it is the better one; None before it was scored."""
        if not self.scored:
            return None
        if self.reference_loss <= 0.0:
            return 1.0 if self.loss <= 0.0 else math.inf
        return self.loss / self.reference_loss


def ladder(steps: int) -> tuple[int, ...]:
    """Leads at which forecasts are kept and scored: each up to 4, then 6, 8, 12, 16, 24 and so on, and the last.

    An interval of the plan lies across two intervals of the clock, so the last lead is one more than the horizon.
    """
    last = steps + 1
    leads = {min(lead, last) for lead in (1, 2, 3)} | {last}
    power = 4
    while power < last:
        leads |= {power, min(last, power * 3 // 2)}
        power *= 2
    return tuple(sorted(leads))


def pinball(outcome: float, planned: float, quantile: float) -> float:
    """Loss of having planned a quantile: q·(y - p) where the outcome lies above, (1-q)·(p - y) where below."""
    return quantile * (outcome - planned) if outcome >= planned else (1.0 - quantile) * (planned - outcome)


def upper(residuals: tuple[float, ...], quantile: float) -> float | None:
    """The ⌈(n+1)·q⌉-th smallest difference, None where that is more than there are."""
    rank = math.ceil((len(residuals) + 1) * quantile)
    return sorted(residuals)[rank - 1] if rank <= len(residuals) else None


def offset_at(offsets: tuple[float | None, ...], leads: tuple[int, ...], lead: int) -> float | None:
    """What is added for the quantile at any distance: linear between the ladder's leads, level beyond them."""
    known = [(at, offset) for at, offset in zip(leads, offsets, strict=True) if offset is not None]
    if not known:
        return None
    below = [pair for pair in known if pair[0] <= lead] or known[:1]
    above = [pair for pair in known if pair[0] >= lead] or known[-1:]
    (a, low), (b, high) = below[-1], above[0]
    return low if a >= b else low + (high - low) * (lead - a) / (b - a)
