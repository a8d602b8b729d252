"""The planning problem of a span of a case, from the state of the instances and what is foreseen. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from controller.model.plan import Horizon
from controller.optimizer.data import ClassData, PoolData, ProblemData, SiteData
from controller.study.fleet.case import FleetCase, PoolCase
from router.contract import ClassId, PoolId

SERVE_USD_PER_TOKEN = 1e-3
"""Price of a token that is not served: a hundred times what its energy costs at the dearest prices."""
LIMIT_USD_PER_J = 1e-3
HEADROOM_USD_PER_S = 0.01
_DAY_S = 86_400.0


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


def foreseen(case: FleetCase, span: Span, rng: np.random.Generator) -> np.ndarray:
    """Demand that instances are planned for, (R, intervals): a quantile of the forecast, the highest step of each.

    The forecast is the truth times a lognormal error, one draw a class and a plan; its spread grows with the square
    root of the lead, and is none for the present.
    """
    ahead_s = np.arange(span.length) * span.per * case.step_s
    spread = case.forecast_error_frac * np.sqrt(ahead_s / _DAY_S)
    safety = NormalDist().inv_cdf(case.forecast_quantile)
    drawn = rng.normal(size=len(case.classes))
    return np.array(
        [
            span.cells(cls.demand_tokens_per_s).max(axis=1) * np.exp(spread * (draw + safety))
            for cls, draw in zip(case.classes, drawn, strict=True)
        ]
    )


def problem(
    case: FleetCase,
    span: Span,
    demand: np.ndarray,
    *,
    on: tuple[int, ...],
    sleeping: tuple[int, ...],
    from_scratch: bool = False,
) -> ProblemData:
    """The problem of a span.

    Args:
        case: the whole.
        span: the intervals.
        demand: (R, intervals) output tokens/s.
        on: instances of each pool that serve at the beginning.
        sleeping: those that are asleep.
        from_scratch: whether the first interval's moves are free.
    """
    dt_s = span.per * case.step_s
    worst_loss = max((pool.quality_loss_frac for pool in case.pools), default=0.0)
    return ProblemData(
        horizon=Horizon(case.start_s + span.first * case.step_s, dt_s, span.length),
        sites=tuple(_site(case, c, span) for c in range(len(case.sites))),
        pools=tuple(
            _pool(case, k, span, on=on[k], sleeping=sleeping[k], from_scratch=from_scratch)
            for k in range(len(case.pools))
        ),
        classes=tuple(
            ClassData(
                class_id=ClassId(cls.name),
                demand_tokens_per_s=tuple(float(rate) for rate in demand[r]),
                quality_budget_frac=(cls.quality_budget_frac,) * span.length,
                quality_usd_per_mtoken=0.0,
                serve_usd_per_token=SERVE_USD_PER_TOKEN,
            )
            for r, cls in enumerate(case.classes)
        ),
        allowed=case.allowed,
        busy_s_per_token=case.busy_s_per_token,
        j_per_token=case.j_per_token,
        utilisation_frac=case.plan.utilisation_frac,
        carbon_usd_per_kg=case.plan.carbon_usd_per_kg,
        limit_usd_per_j=LIMIT_USD_PER_J,
        quality_usd_per_token=SERVE_USD_PER_TOKEN / max(worst_loss, 1e-6) / 10.0,
        peak_frac=case.plan.peak_frac,
        headroom_usd_per_s=HEADROOM_USD_PER_S,
        from_scratch=from_scratch,
        moves_anywhen=True,
    )


def most_instances(case: FleetCase, pool: PoolCase) -> int:
    """Instances of a pool that its site's GPUs can hold."""
    return case.sites[pool.c].gpus // pool.gpus_per_instance


def _site(case: FleetCase, c: int, span: Span) -> SiteData:
    site = case.sites[c]
    # GPUs that no instance holds draw idle power; those of stopped instances are counted with the instances.
    held = sum(most_instances(case, pool) * pool.gpus_per_instance for pool in case.pools if pool.c == c)
    return SiteData(
        site_id=site.name,
        gpus=site.gpus,
        pue=site.pue,
        spare_w=case.idle_gpu_w * (site.gpus - held),
        aux_w=site.aux_w,
        bias_w=0.0,
        limit_w=(None,) * span.length,
        price_usd_per_mwh=tuple(span.cells(site.price_usd_per_mwh).mean(axis=1).tolist()),
        carbon_kg_per_mwh=tuple(span.cells(site.carbon_kg_per_mwh).mean(axis=1).tolist()),
    )


def _pool(case: FleetCase, k: int, span: Span, *, on: int, sleeping: int, from_scratch: bool) -> PoolData:
    pool = case.pools[k]
    most = most_instances(case, pool)
    return PoolData(
        pool_id=PoolId(pool.name),
        instances=most,
        on_now=on,
        sleeping_now=sleeping,
        min_on=0,
        max_on=most,
        locked=(0,) * span.length,
        late=(0.0,) * span.length,
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
        stop_usd=0.0 if from_scratch else None,
    )
