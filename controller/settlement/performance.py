"""What delivery comes to: performance factors, revenue and penalty, and what is not known.

Over the intervals that were measured, of length h in hours, delivered D and committed C in MW:

    factor         = Σ D·h / Σ C·h
    capped factor  = Σ min(D, C)·h / Σ C·h           delivery beyond the commitment makes up for no other interval
    least factor   = min D / C
    revenue        = Σ min(max(D, 0), C)·h · delivered rate
    penalty        = Σ max(C - D, 0)·h · missing rate

Intervals that were not measured are in none of these; their number and what was committed in them stand beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controller.model.observation import Quality
from controller.model.programme import Rates
from controller.settlement.delivered import Interval
from controller.units import J_PER_MWH

MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Performance:
    """The account of one event, or of several.

    Attributes:
        delivered_mwh, committed_mwh: over the intervals that were measured and have a commitment.
        factor, capped_factor, least_factor: see above; None where nothing was committed, or nothing measured.
        short: intervals in which less than the commitment was delivered.
        revenue_usd, penalty_usd, net_usd: None where the contract has no such rate.
        missing: intervals that were not measured, or have no baseline; neither kept nor broken.
        missing_committed_mwh: what was committed in them, as far as that is known.
        by_quality: intervals by the quality of their least trusted measurement, or ``missing``; one of samples
            without a quality is not counted here.
    """

    intervals: int
    delivered_mwh: float
    committed_mwh: float
    factor: float | None
    capped_factor: float | None
    least_factor: float | None
    short: int
    revenue_usd: float | None
    penalty_usd: float | None
    net_usd: float | None
    missing: int
    missing_committed_mwh: float
    by_quality: tuple[tuple[str, int], ...]


def performance(intervals: Sequence[Interval], rates: Rates) -> Performance:
    """The account of settlement intervals, of one event or of several."""
    known = [
        (each.delivered_w, each.committed_w, each.length_s)
        for each in intervals
        if each.delivered_w is not None and each.committed_w is not None
    ]
    unknown = [each for each in intervals if each.delivered_w is None or each.committed_w is None]
    committed_mwh = _mwh((committed_w, length_s) for _, committed_w, length_s in known)
    delivered_mwh = _mwh((delivered_w, length_s) for delivered_w, _, length_s in known)
    capped_mwh = _mwh((min(delivered_w, committed_w), length_s) for delivered_w, committed_w, length_s in known)
    paid_mwh = _mwh((min(max(delivered_w, 0.0), committed_w), s) for delivered_w, committed_w, s in known)
    short_mwh = _mwh((max(committed_w - delivered_w, 0.0), s) for delivered_w, committed_w, s in known)
    revenue_usd = _times(paid_mwh, rates.delivered_usd_per_mwh)
    penalty_usd = _times(short_mwh, rates.missing_usd_per_mwh)
    has_rate = revenue_usd is not None or penalty_usd is not None
    factors = [factor for each in intervals if (factor := each.performance_frac) is not None]
    return Performance(
        intervals=len(intervals),
        delivered_mwh=delivered_mwh,
        committed_mwh=committed_mwh,
        factor=delivered_mwh / committed_mwh if committed_mwh > 0.0 else None,
        capped_factor=capped_mwh / committed_mwh if committed_mwh > 0.0 else None,
        least_factor=min(factors, default=None),
        short=sum(each.is_short for each in intervals),
        revenue_usd=revenue_usd,
        penalty_usd=penalty_usd,
        net_usd=(revenue_usd or 0.0) - (penalty_usd or 0.0) if has_rate else None,
        missing=len(unknown),
        missing_committed_mwh=_mwh((each.committed_w or 0.0, each.length_s) for each in unknown),
        by_quality=_by_quality(intervals),
    )


def _mwh(parts: Iterable[tuple[float, float]]) -> float:
    return sum(watts * length_s for watts, length_s in parts) / J_PER_MWH


def _times(energy_mwh: float, usd_per_mwh: float | None) -> float | None:
    return None if usd_per_mwh is None else energy_mwh * usd_per_mwh


def _by_quality(intervals: Sequence[Interval]) -> tuple[tuple[str, int], ...]:
    names = [*(quality.value for quality in Quality), MISSING]
    told = [
        MISSING if each.delivered_w is None else each.quality.value if each.quality is not None else ""
        for each in intervals
    ]
    return tuple((name, told.count(name)) for name in names)
