"""The planning problem of a span of a case, from where a run stands and what is foreseen. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from controller.model.plan import Horizon
from controller.optimizer.data import ClassData, PoolData, ProblemData, ResponseData, SiteData
from controller.settlement.quality_budget import QualityBurn, allowed_loss_frac
from controller.study.fleet.case import FleetCase
from controller.study.fleet.state import State, battery_data
from router.contract import ClassId, PoolId

SERVE_USD_PER_TOKEN = 1e-3
"""Price of a token that is not served: a hundred times what its energy costs at the dearest prices."""
LIMIT_USD_PER_J = 2e-2
"""Above the price of the tokens that a joule makes: a limit outranks what may yet be served later."""
HEADROOM_USD_PER_S = 0.01
_DAY_S = 86_400.0
Fold = Callable[..., np.ndarray]
"""Makes one value of the steps of an interval, along the given axis."""


@dataclass(frozen=True, slots=True)
class Span:
    """Intervals of a problem: `length` steps of the case from step `first` on, `per` of them in each interval."""

    first: int
    length: int
    per: int

    def cells(self, series: np.ndarray) -> np.ndarray:
        """A (T,) series of the case as (intervals, per); its last value goes on after its end."""
        index = np.minimum(self.first + np.arange(self.length * self.per), len(series) - 1)
        return np.asarray(series[index].reshape(self.length, self.per))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a problem is stated for.

    Attributes:
        demand: (R, intervals) output tokens/s.
        fixed: whether the instances stay as they are.
        from_scratch: whether the first interval's moves are free.
        limit_of: makes the limit of an interval from those of its steps.
    """

    demand: np.ndarray
    fixed: bool = False
    from_scratch: bool = False
    limit_of: Fold = np.min


def foreseen(case: FleetCase, span: Span, rng: np.random.Generator) -> np.ndarray:
    """Demand that instances are planned for, (R, intervals): a quantile of the forecast.

    Of the steps of an interval the highest counts, or the mean for what may wait longer than an interval. The forecast
    is the truth times a lognormal error, one draw a class and a plan; its spread grows with the square root of the
    lead, and is none for the present.
    """
    ahead_s = np.arange(span.length) * span.per * case.step_s
    spread = case.forecast_error_frac * np.sqrt(ahead_s / _DAY_S)
    safety = NormalDist().inv_cdf(case.forecast_quantile)
    drawn = rng.normal(size=len(case.classes))
    out = []
    for cls, draw in zip(case.classes, drawn, strict=True):
        cells = span.cells(cls.demand_tokens_per_s)
        level = cells.mean(axis=1) if cls.defer_steps >= span.per else cells.max(axis=1)
        out.append(level * np.exp(spread * (draw + safety)))
    return np.array(out)


def problem(case: FleetCase, span: Span, state: State, asked: Asked) -> ProblemData:
    """The problem of a span from a state."""
    worst_loss = max((loss for row in case.quality_loss_frac for loss in row), default=0.0)
    return ProblemData(
        horizon=Horizon(case.start_s + span.first * case.step_s, span.per * case.step_s, span.length),
        sites=tuple(_site(case, c, span, state, asked) for c in range(len(case.sites))),
        pools=tuple(pool_data(case, k, span.length, state, asked) for k in range(len(case.pools))),
        classes=tuple(_class(case, r, span, state, asked) for r in range(len(case.classes))),
        allowed=case.allowed,
        busy_s_per_token=case.busy_s_per_token,
        j_per_token=case.j_per_token,
        utilisation_frac=case.plan.utilisation_frac,
        carbon_usd_per_kg=case.plan.carbon_usd_per_kg,
        limit_usd_per_j=LIMIT_USD_PER_J,
        quality_usd_per_token=SERVE_USD_PER_TOKEN / max(worst_loss, 1e-6) / 10.0,
        peak_frac=case.plan.peak_frac,
        headroom_usd_per_s=HEADROOM_USD_PER_S,
        from_scratch=asked.from_scratch,
        moves_anywhen=True,
        move_usd_per_token=case.move_usd_per_token,
        quality_loss_frac=case.quality_loss_frac,
    )


@dataclass(frozen=True, slots=True)
class Coming:
    """What a class's quality budget has to last for.

    Attributes:
        called: (intervals,) whether an event calls any site.
        tokens: output tokens asked for to the horizon's end.
        end_s: wall clock of the horizon's end.
    """

    called: np.ndarray
    tokens: float
    end_s: float


def budgets(budget_frac: float, burn: QualityBurn | None, coming: Coming) -> tuple[float, ...]:
    """Largest mean quality loss of a class in each interval: what was saved may be spent where an event calls.

    Args:
        budget_frac: of the class.
        burn: what it has burnt, None where its budget holds in each step.
        coming: what it has to last for.
    """
    if burn is None:
        return (budget_frac,) * len(coming.called)
    kept = burn.within(coming.end_s)
    plain, spending = (
        allowed_loss_frac(kept, budget_frac, coming.tokens, spend_savings=spends) for spends in (False, True)
    )
    return tuple(spending if calls else plain for calls in coming.called)


def spare_w(case: FleetCase, c: int) -> float:
    """Power of GPUs that no pool's instances could hold; those of stopped instances count with the instances.

    Negative where pools share GPUs: the same GPU then counts once for each.
    """
    held = sum(case.most_instances(pool) * pool.gpus_per_instance for pool in case.pools if pool.c == c)
    return case.idle_gpu_w * (case.sites[c].gpus - held)


def pool_data(case: FleetCase, k: int, intervals: int, state: State, asked: Asked) -> PoolData:
    """A pool of a problem."""
    pool = case.pools[k]
    most = case.most_instances(pool)
    return PoolData(
        pool_id=PoolId(pool.name),
        instances=most,
        on_now=state.on[k],
        sleeping_now=state.sleeping[k],
        min_on=state.on[k] if asked.fixed else 0,
        max_on=state.on[k] if asked.fixed else most,
        locked=(0,) * intervals,
        late=(0.0,) * intervals,
        gpus_per_instance=pool.gpus_per_instance,
        p0_w=pool.curves.p0_w,
        sleeping_w=pool.curves.sleeping_w,
        off_w=case.idle_gpu_w * pool.gpus_per_instance,
        quality_loss_frac=pool.quality_loss_frac,
        wake_s=pool.curves.wake_s,
        start_s=pool.curves.start_s,
        start_usd=pool.start_usd,
        min_up_steps=1,
        site=pool.c,
        # From scratch there is no later, either: a stop makes no start necessary.
        stop_usd=0.0 if asked.from_scratch else None,
    )


def _site(case: FleetCase, c: int, span: Span, state: State, asked: Asked) -> SiteData:
    site = case.sites[c]
    limits_w = asked.limit_of(span.cells(site.most_import_w), axis=1)
    response = None
    if site.response is not None:
        response = ResponseData(
            _means(span, site.response.baseline_w),
            _means(span, site.response.reward_usd_per_mwh),
            _means(span, site.response.most_w),
        )
    return SiteData(
        site_id=site.name,
        gpus=site.gpus,
        pue=site.pue,
        spare_w=spare_w(case, c),
        aux_w=site.aux_w,
        bias_w=0.0,
        limit_w=tuple(float(limit) if math.isfinite(limit) else None for limit in limits_w),
        price_usd_per_mwh=_means(span, site.price_usd_per_mwh),
        carbon_kg_per_mwh=_means(span, site.carbon_kg_per_mwh),
        pv_w=() if site.pv_w is None else _means(span, site.pv_w),
        battery=None if site.battery is None else battery_data(site.battery, state.soc_wh[c]),
        response=response,
    )


def _means(span: Span, series: np.ndarray) -> tuple[float, ...]:
    return tuple(span.cells(series).mean(axis=1).tolist())


def _class(case: FleetCase, r: int, span: Span, state: State, asked: Asked) -> ClassData:
    cls = case.classes[r]
    demand = asked.demand[r].copy()
    defer = min(cls.defer_steps // span.per, span.length - 1)
    seconds = span.per * case.step_s
    waiting: tuple[float, ...] = ()
    if defer:
        waiting = tuple(tokens / seconds for tokens in state.queues[r].by_interval(span.first, span.per, defer))
    else:
        demand[0] += state.queues[r].tokens / seconds
    called: np.ndarray = np.any(span.cells(case.is_called), axis=1)
    end_s = case.start_s + (span.first + span.length * span.per) * case.step_s
    coming = Coming(called, float(demand.sum()) * seconds, end_s)
    return ClassData(
        class_id=ClassId(cls.name),
        demand_tokens_per_s=tuple(demand.tolist()),
        quality_budget_frac=budgets(cls.quality_budget_frac, state.burns[r], coming),
        quality_usd_per_mtoken=cls.quality_usd_per_mtoken,
        serve_usd_per_token=SERVE_USD_PER_TOKEN,
        defer_steps=defer,
        backlog_tokens_per_s=waiting,
    )
