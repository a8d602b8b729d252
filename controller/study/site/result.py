"""What the study of a site found, as figures. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent, Series, limit_at
from controller.model.observation import Missing
from controller.model.plan import PlanOrigin, Verb
from controller.settlement.delivered import settle, time_to_share_s
from controller.study.site.make_site import SiteCase
from controller.study.site.play import Played
from controller.units import J_PER_MWH

BEFORE_S = 900.0
"""The baseline of an event is the mean power of this time before its notice."""
AFTER_S = 1800.0
"""A rebound is looked for within this time after an event."""
_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class FleetTotals:
    """One fleet over the whole span.

    Attributes:
        usd: electricity at the recorded price.
        asked_tokens, served_tokens, lost_tokens, waiting_tokens: output tokens; lost: asked for and cut off with a
            stopped engine; waiting: under way at the end.
        late_tokens: of requests that waited at the router longer than their class is promised.
        quality_loss_frac: mean over the served tokens; None without any.
    """

    name: str
    usd: float
    energy_mwh: float
    carbon_kg: float
    peak_kw: float
    asked_tokens: float
    served_tokens: float
    lost_tokens: float
    waiting_tokens: float
    late_tokens: float
    quality_loss_frac: float | None
    starts: int
    sleeps: int
    wakes: int


@dataclass(frozen=True, slots=True)
class EventResult:
    """What an event got.

    Attributes:
        baseline_kw: mean power of the same fleet before the event's notice; None where the run begins later.
        time_to_90pct_s: from the start to the end of the first interval in which 90 % of the way from the baseline to
            the limit was gone; None if never, without a baseline, or where the limit is not below it.
        intervals, intervals_over: of the power series, after the ramp; over: above the event's own limit.
        delivered_kw: mean reduction after the ramp.
        rebound_peak_kw: highest interval in the half hour after the end, None where another limit is then in force.
    """

    name: str
    limit_kw: float
    baseline_kw: float | None
    time_to_90pct_s: float | None
    intervals: int
    intervals_over: int
    delivered_kw: float | None
    rebound_peak_kw: float | None


@dataclass(frozen=True, slots=True)
class SiteResult:
    """The whole study.

    Attributes:
        plans: of instances, by how they came about.
        late_plans: those whose search was ended by the clock, so that another machine may find other ones.
        broken_ticks: ticks at which the dispatch could not keep a promise, by promise.
    """

    fixed: FleetTotals
    controlled: FleetTotals
    saving_frac: float | None
    events: tuple[EventResult, ...]
    plans: tuple[tuple[str, int], ...]
    late_plans: int
    broken_ticks: tuple[tuple[str, int], ...]


def result(case: SiteCase, fixed: Played, controlled: Played, events: tuple[GridEvent, ...]) -> SiteResult:
    """All figures of the two runs."""
    origins = Counter(record.planned_by for record in controlled.records if record.planned_by is not None)
    broken = Counter(promise for record in controlled.records for promise in sorted(record.broken))
    before, after = totals("fixed bf16 fleet", case, fixed), totals("under the controller", case, controlled)
    return SiteResult(
        fixed=before,
        controlled=after,
        saving_frac=1.0 - after.usd / before.usd if before.usd > 0 else None,
        events=tuple(event_result(case, controlled.power_w, event, events) for event in events),
        plans=tuple((origin.value, origins[origin]) for origin in PlanOrigin),
        late_plans=sum(
            record.solve_s is not None and record.solve_s >= case.policy.slow_time_limit_s
            for record in controlled.records
        ),
        broken_ticks=tuple(sorted(broken.items())),
    )


def totals(name: str, case: SiteCase, played: Played) -> FleetTotals:
    """One run's sums."""
    mwh = played.power_w * case.interval_s / J_PER_MWH
    losses = np.array([pool.quality_loss_frac for pool in played.site.pools])
    of_pools = played.by_pool.sum(axis=0)
    verbs = Counter(verb for record in played.records for verb in record.verbs)
    return FleetTotals(
        name=name,
        usd=float(mwh @ over_span(case, case.signals.price_usd_per_mwh)),
        energy_mwh=float(mwh.sum()),
        carbon_kg=float(mwh @ over_span(case, case.signals.carbon_kg_per_mwh)),
        peak_kw=float(played.power_w.max()) / 1000.0,
        asked_tokens=float(played.asked[:, 2].sum()),
        served_tokens=float(played.served[:, 2].sum()),
        lost_tokens=float(played.lost[:, 2].sum()),
        waiting_tokens=float(played.waiting[:, 2].sum()),
        late_tokens=played.late_tokens,
        quality_loss_frac=float(of_pools @ losses / of_pools.sum()) if of_pools.sum() > 0 else None,
        starts=verbs[Verb.START],
        sleeps=verbs[Verb.SLEEP],
        wakes=verbs[Verb.WAKE],
    )


def event_result(case: SiteCase, power_w: np.ndarray, event: GridEvent, events: tuple[GridEvent, ...]) -> EventResult:
    """An event's account, from the series of the fleet that obeyed it."""
    times_s = times(case)
    before = (times_s >= event.notice_s - BEFORE_S) & (times_s < event.notice_s)
    after = (times_s >= event.end_s) & (times_s < event.end_s + AFTER_S)
    baseline_w = float(power_w[before].mean()) if before.any() else None
    others = tuple(other for other in events if other is not event)
    is_free = after.any() and all(limit_at(others, None, time_s) is None for time_s in times_s[after])
    within = (times_s >= event.start_s) & (times_s < event.end_s)
    samples = tuple(zip(times_s[within].tolist(), power_w[within].tolist(), strict=True))
    # That a mean was reached is known when its interval ends.
    ended = tuple((time_s + case.interval_s, watts) for time_s, watts in samples)
    settled = settle(samples, event, baseline_w=baseline_w or 0.0, interval_s=case.interval_s)
    reached_s = None
    if baseline_w is not None and baseline_w > event.limit_w:
        reached_s = time_to_share_s(ended, event, baseline_w, _SHARE)
    delivered_w = settled.delivered_w if baseline_w is not None else None
    return EventResult(
        name=event.event_id,
        limit_kw=event.limit_w / 1000.0,
        baseline_kw=None if baseline_w is None else baseline_w / 1000.0,
        time_to_90pct_s=reached_s,
        intervals=len(settled.intervals),
        intervals_over=settled.intervals_over_limit,
        delivered_kw=None if delivered_w is None else delivered_w / 1000.0,
        rebound_peak_kw=float(power_w[after].max()) / 1000.0 if is_free else None,
    )


def times(case: SiteCase) -> np.ndarray:
    """Beginning of each interval of the power series, (intervals,), wall clock in s."""
    count = len(case.asked_per_s) * round(case.tick_s / case.interval_s)
    return np.asarray(case.start_s + case.interval_s * np.arange(count))


def over_span(case: SiteCase, series: Series | Missing) -> np.ndarray:
    """A signal at the beginning of each interval, (intervals,).

    Raises:
        ValueError: the signal is missing or does not reach over the span.
    """
    values = [None if isinstance(series, Missing) else series.at(time_s) for time_s in times(case).tolist()]
    if any(value is None for value in values):
        raise ValueError(f"{series.source}: does not hold the whole span of the run")
    return np.array(values, dtype=float)
