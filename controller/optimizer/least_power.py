"""The least power that keeps the promises, as a planning problem of one interval: the limit gone, power the objective.

It is the problem that is planned and dispatched anyway, with other prices, so that what is told and what is done rest
on one model. No solver.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.plan import Horizon
from controller.optimizer.data import PoolData, ProblemData, SiteData
from controller.units import J_PER_MWH

PROMISE_DISTANCE = 100.0
"""How far the promise of least price stands above an instance's energy kept for one token a second."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far instances may move.

    Attributes:
        lead_s: by when they must have moved.
        gone_s: [k], time until an instance that is let go is asleep.
        may_stop: whether instances may also be stopped, and started again.
        may_come: whether instances may be woken or started: those that go make room for them first.
        coming_s: [k], time until each instance serves that is on its way up; () for none.
    """

    lead_s: float
    gone_s: tuple[float, ...]
    may_stop: bool
    may_come: bool = True
    coming_s: tuple[tuple[float, ...], ...] = ()

    def absent(self, k: int) -> int:
        """Instances of a pool that are on their way up and do not serve by the lead."""
        return sum(wait_s > self.lead_s for wait_s in self._coming_s(k))

    def held(self, k: int) -> int:
        """Instances of a pool that serve by the lead and cannot be asleep again by then."""
        return sum(wait_s <= self.lead_s < wait_s + self.gone_s[k] for wait_s in self._coming_s(k))

    def comes_in(self, latency_s: float) -> bool:
        """Whether an instance serves by the lead that comes up so long after others have gone."""
        return self.may_come and latency_s + max(self.gone_s) <= self.lead_s

    def _coming_s(self, k: int) -> tuple[float, ...]:
        return self.coming_s[k] if self.coming_s else ()


def least_power_problem(data: ProblemData, demand: tuple[float, ...], budgets: tuple[float, ...]) -> ProblemData:
    """One interval in which each joule costs the same, and any promise more.

    Limits, ramps and prices of moves are gone: those who call for a reduction pay for it.

    Args:
        data: of a tick.
        demand: [r], output tokens/s to serve.
        budgets: [r], largest mean quality loss.
    """
    dearest_w = max((pool.p0_w * data.sites[pool.site].pue for pool in data.pools), default=1.0)
    serve_usd = min((cls.serve_usd_per_token for cls in data.classes), default=1.0)
    usd_per_mwh = J_PER_MWH * serve_usd / (PROMISE_DISTANCE * max(dearest_w, 1.0))
    classes = tuple(
        replace(
            cls,
            demand_tokens_per_s=(asked,),
            quality_budget_frac=(budget,),
            quality_usd_per_mtoken=0.0,
            defer_steps=0,
            backlog_tokens_per_s=(),
            quality_window=False,
        )
        for cls, asked, budget in zip(data.classes, demand, budgets, strict=True)
    )
    return replace(
        data,
        horizon=Horizon(data.horizon.start_s, data.horizon.dt_s, 1),
        sites=tuple(_unbound(site, usd_per_mwh) for site in data.sites),
        pools=tuple(_settled(pool) for pool in data.pools),
        classes=classes,
        carbon_usd_per_kg=0.0,
        move_usd_per_token=(),
        from_scratch=True,
        moves_anywhen=True,
        earlier=None,
    )


def within_reach(data: ProblemData, reach: Reach) -> ProblemData:
    """The problem in which instances are as they can be after a lead.

    Whoever cannot have moved by then stays as it is; whoever is still coming up draws as if it served, and does not.
    Pools that cannot sleep keep what serves. A least up-time does not bind: a call waives it.

    Args:
        data: of a tick.
        reach: of the instances.
    """
    pools = tuple(_reached(pool, k, reach) for k, pool in enumerate(data.pools))
    left_out_w = [0.0 for _ in data.sites]
    for k, (before, pool) in enumerate(zip(data.pools, pools, strict=True)):
        absent = reach.absent(k)
        left_out_w[pool.site] += before.off_w * (before.instances - absent - pool.instances) + before.p0_w * absent
    sites = tuple(replace(site, spare_w=site.spare_w + w) for site, w in zip(data.sites, left_out_w, strict=True))
    return replace(data, sites=sites, pools=pools, may_stop=reach.may_stop)


def _reached(pool: PoolData, k: int, reach: Reach) -> PoolData:
    on = pool.on_now - reach.absent(k)
    loaded = on + pool.sleeping_now
    there = pool.instances - reach.absent(k)
    if pool.is_held:
        return replace(pool, on_now=on, min_on=on, max_on=on, instances=there)
    wakes = pool.sleeping_now if reach.comes_in(pool.wake_s) else 0
    may_stop = reach.may_stop or pool.may_stop
    starts = there - loaded if may_stop and reach.comes_in(pool.start_s) else 0
    falls = reach.gone_s[k] <= reach.lead_s and (pool.may_sleep or may_stop)
    least = max(pool.min_on, reach.held(k)) if falls else on
    most = max(least, min(pool.max_on, on + wakes + starts))
    return replace(
        pool,
        on_now=on,
        min_on=min(least, most),
        max_on=most,
        instances=there if may_stop else loaded,
    )


def _settled(pool: PoolData) -> PoolData:
    """A pool whose moves are over."""
    return replace(
        pool,
        on_now=min(max(pool.on_now, pool.min_on), pool.max_on),
        locked=(0,),
        late=(0.0,),
        wake_s=0.0,
        start_s=0.0,
        start_usd=0.0,
        stop_usd=0.0,
        min_up_steps=1,
        exchange_usd=(),
    )


def _unbound(site: SiteData, usd_per_mwh: float) -> SiteData:
    return replace(
        site,
        limit_w=(None,),
        price_usd_per_mwh=(usd_per_mwh,),
        carbon_kg_per_mwh=(0.0,),
        ramp_w=None,
        ramp_down_w=None,
        drawn_before_w=None,
        pv_w=(),
        battery=None,
        response=None,
    )
