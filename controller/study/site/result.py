"""What the study of a site found, as figures. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent, Series
from controller.model.observation import Missing
from controller.model.plan import PlanOrigin, Verb
from controller.study.site.engines import Waits
from controller.study.site.event_account import EventResult, event_result
from controller.study.site.make_site import SiteCase
from controller.study.site.play import Played
from controller.units import J_PER_MWH

HOUR_S = 3600.0
BILLED_S = 900.0
FIXED, CONTROLLED = "fixed bf16 fleet", "under the controller"


@dataclass(frozen=True, slots=True)
class FleetTotals:
    """One fleet over the whole span.

    Attributes:
        usd: electricity at the recorded price.
        peak_kw: highest interval of the power series.
        billed_peak_kw: highest mean of a quarter of an hour, counted from the start on, as tariffs
            with a price of peaks bill it; None where the run is shorter.
        asked_tokens, served_tokens, lost_tokens, waiting_tokens: output tokens; lost: asked for and cut off with a
            stopped engine; waiting: under way at the end.
        late_tokens: of requests that waited longer than their class is promised.
        asked_requests, served_requests, lost_requests, waiting_requests: the same in requests.
        quality_loss_frac: mean over the served tokens; None without any.
        most_moves_per_hour: commands to the instances of one pool within an hour, where there were most; the first
            hour, in which the fleet finds its size, is left out. None where the run is no longer.
    """

    name: str
    usd: float
    energy_mwh: float
    carbon_kg: float
    peak_kw: float
    billed_peak_kw: float | None
    asked_tokens: float
    served_tokens: float
    lost_tokens: float
    waiting_tokens: float
    late_tokens: float
    asked_requests: float
    served_requests: float
    lost_requests: float
    waiting_requests: float
    quality_loss_frac: float | None
    starts: int
    sleeps: int
    wakes: int
    most_moves_per_hour: int | None


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """Latencies of single requests of one fleet within some time; None without tokens.

    Attributes:
        when: ``during events`` or ``outside of events``.
        first_tokens: requests that got their first token then.
    """

    fleet: str
    when: str
    first_tokens: int
    ttft_p50_s: float | None
    ttft_p99_s: float | None
    itl_p50_s: float | None
    itl_p99_s: float | None


@dataclass(frozen=True, slots=True)
class SiteResult:
    """The whole study.

    Attributes:
        plans: of instances, by how they came about.
        late_plans: those whose search was ended by the clock, so that another machine may find other ones.
        broken_ticks: ticks at which the dispatch could not keep a promise, by promise.
        latencies: of single requests, both fleets; empty where tokens flow.
    """

    fixed: FleetTotals
    controlled: FleetTotals
    saving_frac: float | None
    events: tuple[EventResult, ...]
    plans: tuple[tuple[str, int], ...]
    late_plans: int
    broken_ticks: tuple[tuple[str, int], ...]
    latencies: tuple[LatencyResult, ...] = ()


def result(case: SiteCase, fixed: Played, controlled: Played, events: tuple[GridEvent, ...]) -> SiteResult:
    """All figures of the two runs."""
    origins = Counter(record.planned_by for record in controlled.records if record.planned_by is not None)
    broken = Counter(promise for record in controlled.records for promise in sorted(record.broken))
    before, after = totals(FIXED, case, fixed), totals(CONTROLLED, case, controlled)
    return SiteResult(
        fixed=before,
        controlled=after,
        saving_frac=1.0 - after.usd / before.usd if before.usd > 0 else None,
        events=tuple(event_result(case, controlled, event, events) for event in events),
        plans=tuple((origin.value, origins[origin]) for origin in PlanOrigin),
        late_plans=sum(
            record.solve_s is not None and record.solve_s >= case.policy.slow_time_limit_s
            for record in controlled.records
        ),
        broken_ticks=tuple(sorted(broken.items())),
        latencies=tuple(
            _latency(name, when.value, waits)
            for name, played in ((FIXED, fixed), (CONTROLLED, controlled))
            for when, waits in played.waits.items()
        ),
    )


def totals(name: str, case: SiteCase, played: Played) -> FleetTotals:
    """One run's sums."""
    mwh = played.power_w * case.interval_s / J_PER_MWH
    degraded, tokens = float((played.by_pool * np.array(played.site.losses)).sum()), float(played.by_pool.sum())
    verbs = Counter(verb for record in played.records for _, verb in record.verbs)
    asked, served, lost, waiting = (
        amounts.sum(axis=0).tolist() for amounts in (played.asked, played.served, played.lost, played.waiting)
    )
    return FleetTotals(
        name=name,
        usd=float(mwh @ over_span(case, case.signals.price_usd_per_mwh)),
        energy_mwh=float(mwh.sum()),
        carbon_kg=float(mwh @ over_span(case, case.signals.carbon_kg_per_mwh)),
        peak_kw=float(played.power_w.max()) / 1000.0,
        billed_peak_kw=_billed_peak_kw(case, played.power_w),
        asked_tokens=asked[2],
        served_tokens=served[2],
        lost_tokens=lost[2],
        waiting_tokens=waiting[2],
        late_tokens=played.late_tokens,
        asked_requests=asked[0],
        served_requests=served[0],
        lost_requests=lost[0],
        waiting_requests=waiting[0],
        quality_loss_frac=degraded / tokens if tokens > 0 else None,
        starts=verbs[Verb.START],
        sleeps=verbs[Verb.SLEEP],
        wakes=verbs[Verb.WAKE],
        most_moves_per_hour=_most_moves(case, played),
    )


def _billed_peak_kw(case: SiteCase, power_w: np.ndarray) -> float | None:
    each = max(1, round(BILLED_S / case.interval_s))
    whole = len(power_w) // each * each
    return float(power_w[:whole].reshape(-1, each).mean(axis=1).max()) / 1000.0 if whole else None


def _most_moves(case: SiteCase, played: Played) -> int | None:
    """Most commands to the instances of one pool within an hour, after the first one."""
    per_hour = round(HOUR_S / case.tick_s)
    if len(played.records) <= per_hour:
        return None
    moves = np.zeros((len(played.records) - per_hour, len(played.site.pools)))
    for at, record in enumerate(played.records[per_hour:]):
        for k, _ in record.verbs:
            moves[at, k] += 1.0
    before = np.vstack([np.zeros((1, moves.shape[1])), moves.cumsum(axis=0)])
    width = min(per_hour, len(moves))
    return round(float((before[width:] - before[:-width]).max()))


def _latency(fleet: str, when: str, waits: Waits) -> LatencyResult:
    return LatencyResult(
        fleet=fleet,
        when=when,
        first_tokens=waits.ttft.count,
        ttft_p50_s=waits.ttft.quantile_s(0.5),
        ttft_p99_s=waits.ttft.quantile_s(0.99),
        itl_p50_s=waits.itl.quantile_s(0.5),
        itl_p99_s=waits.itl.quantile_s(0.99),
    )


def over_span(case: SiteCase, series: Series | Missing) -> np.ndarray:
    """A signal at the beginning of each interval, (intervals,).

    Raises:
        ValueError: the signal is missing or does not reach over the span.
    """
    values = [None if isinstance(series, Missing) else series.at(time_s) for time_s in case.times_s.tolist()]
    if any(value is None for value in values):
        raise ValueError(f"{series.source}: does not hold the whole span of the run")
    return np.array(values, dtype=float)
