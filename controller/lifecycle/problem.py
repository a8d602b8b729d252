"""From site, policy and observation to the numbers of a planning problem."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.forecast.demand import Demand
from controller.lifecycle.exchange import NO_EXCHANGE, Exchange, exchange_usd, while_full
from controller.lifecycle.limits import Limits, Return
from controller.lifecycle.memory import Phase, Raised
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.power_loop import spare_w
from controller.lifecycle.prices import Costs, promise_prices
from controller.lifecycle.quality import budgets
from controller.lifecycle.ramps import Ramps
from controller.lifecycle.settling import settled_s
from controller.lifecycle.views import View
from controller.model.fleet import Pool, RequestClass, Site
from controller.model.grid import GridEvent, Precedence, released_s
from controller.model.observation import InstanceState
from controller.model.plan import Horizon
from controller.optimizer.data import ClassData, PoolData, ProblemData, SiteData
from controller.optimizer.first_token import charged, largest_shares
from controller.optimizer.power_map import Variant, power_map
from controller.optimizer.workload import Lengths
from controller.settlement.quality_budget import QualityBurn
from controller.units import J_PER_MWH


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a tick has found out, for one problem.

    Attributes:
        demand: of each class, in the site's order.
        burns: of each class, in the site's order.
        margin_frac: share of the limits kept free.
        retry_s: time after which a command is given again.
        ramps: bounds on the steps of power.
        over_limit: whether more is drawn than the limit in force allows.
        is_full: whether more is drawn, by the plan's rule, than that limit less its margin.
        returns: from events that are over.
        owed: by how much less than an event's limit must be drawn now, see `controller.lifecycle.limits.Limits`.
        exchange: what it takes to exchange instances.
        raised: when pools were raised.
    """

    now_s: float
    views: tuple[View, ...]
    demand: tuple[Demand, ...]
    burns: tuple[QualityBurn, ...]
    events: tuple[GridEvent, ...]
    price_usd_per_mwh: tuple[float, ...]
    carbon_kg_per_mwh: tuple[float, ...]
    bias_w: float
    margin_frac: float
    retry_s: float
    ramps: Ramps
    over_limit: bool = False
    is_full: bool = False
    returns: tuple[Return, ...] = ()
    owed: tuple[tuple[str, float], ...] = ()
    exchange: Exchange = NO_EXCHANGE
    raised: tuple[Raised, ...] = ()

    def limits(self, site: Site, policy: TickPolicy) -> Limits:
        """All limits that are known."""
        return Limits(site.import_limit_w, self.events, self.returns, policy.precedence, self.owed)


def build(site: Site, policy: TickPolicy, inputs: Inputs) -> ProblemData:
    """The problem as of now; what yields is as the most restrictive limits say."""
    first = inputs.limits(site, policy).yields_first(Horizon(inputs.now_s, policy.step_s, policy.steps))
    return _problem(site, policy, first, inputs, None)


def build_firm(site: Site, policy: TickPolicy, inputs: Inputs) -> ProblemData | None:
    """The same under the limits that outrank the classes alone, where others are more restrictive; else None."""
    horizon = Horizon(inputs.now_s, policy.step_s, policy.steps)
    if inputs.limits(site, policy).firm(horizon) is None:
        return None
    return _problem(site, policy, Precedence.CONTRACT, inputs, Precedence.CONTRACT)


def _problem(site: Site, policy: TickPolicy, first: Precedence, inputs: Inputs, only: Precedence | None) -> ProblemData:
    """The problem where promises yield in the order `first`, under the limits of one precedence or of both."""
    horizon = Horizon(inputs.now_s, policy.step_s, policy.steps)
    raw_limit_w = inputs.limits(site, policy).planned(horizon, only)
    policy = replace(policy, precedence=first)
    called = tuple(limit is not None for limit in planned_limits_w(None, inputs.events, horizon))
    lengths = tuple(Lengths(demand.input_tokens, demand.output_tokens) for demand in inputs.demand)
    dispatchable = power_map([Variant.of(pool) for pool in site.pools], site.classes, lengths)
    curves = [pool.curves for pool in site.pools]
    shares = largest_shares(curves, site.classes, lengths, dispatchable.batches, policy.utilisation_frac)
    allowed = tuple(allowed_pools(site, cls, dispatchable.batches[r], shares[r]) for r, cls in enumerate(site.classes))
    prices = promise_prices(site, policy, Costs(_dearest_usd_per_j(policy, inputs), lengths, inputs.ramps))
    capacities = [max(1.0 / busy for busy in column) for column in zip(*dispatchable.busy_s_per_token, strict=True)]
    moves_usd = exchange_usd(site, inputs.exchange, prices.serve, capacities)
    full = while_full(raw_limit_w)
    pools = tuple(
        _pool(pool, k, inputs, horizon, tuple(usd * now for now in full))
        for k, (pool, usd) in enumerate(zip(site.pools, moves_usd, strict=True))
    )
    asked = [max(demand.planned(horizon.steps)) > 0 for demand in inputs.demand]
    counts = [[may and asks for may in row] for row, asks in zip(allowed, asked, strict=True)]
    return ProblemData(
        horizon=horizon,
        sites=(_meter(site, inputs, raw_limit_w, pools),),
        pools=pools,
        classes=tuple(_class(site, r, inputs, horizon, called, prices.serve[r]) for r in range(len(site.classes))),
        allowed=allowed,
        busy_s_per_token=charged(dispatchable.busy_s_per_token, shares, counts, policy.utilisation_frac),
        j_per_token=dispatchable.j_per_token,
        quality_loss_frac=site.losses,
        utilisation_frac=policy.utilisation_frac,
        carbon_usd_per_kg=policy.carbon_usd_per_kg,
        limit_usd_per_j=prices.limit_usd_per_j,
        quality_usd_per_token=prices.quality_usd_per_token,
        may_stop=policy.may_stop,
        peak_frac=max(policy.peak_frac, policy.utilisation_frac),
        headroom_usd_per_s=prices.headroom_usd_per_s,
        ramp_usd_per_w=prices.ramp_usd_per_w,
        moves_anywhen=inputs.ramps.bind,
    )


def _dearest_usd_per_j(policy: TickPolicy, inputs: Inputs) -> float:
    """Largest cost of a joule over the horizon, its emissions included."""
    return max(
        abs(price + policy.carbon_usd_per_kg * carbon) / J_PER_MWH
        for price, carbon in zip(inputs.price_usd_per_mwh, inputs.carbon_kg_per_mwh, strict=True)
    )


def _meter(
    site: Site,
    inputs: Inputs,
    limits_w: tuple[float | None, ...],
    pools: tuple[PoolData, ...],
) -> SiteData:
    ramps = inputs.ramps
    lost_w = sum(view.pool.curves.idle_w for view in inputs.views if view.state is InstanceState.UNREACHABLE)
    # The plan counts a sleeper that it wants stopped as off; it draws on until an autoscaler takes it away.
    kept = (view.pool.curves for view in inputs.views if view.is_let_go and view.pool.may_stop)
    kept_w = sum(curves.sleeping_w - curves.off_w for curves in kept)
    return SiteData(
        site_id=site.name,
        gpus=max(site.gpus, sum(p.gpus_per_instance * (p.on_now + p.sleeping_now) for p in pools)),
        pue=site.pue,
        spare_w=spare_w(site) + lost_w + kept_w,
        aux_w=site.aux_w,
        bias_w=inputs.bias_w,
        limit_w=tuple(None if limit is None else limit * (1.0 - inputs.margin_frac) for limit in limits_w),
        price_usd_per_mwh=inputs.price_usd_per_mwh,
        carbon_kg_per_mwh=inputs.carbon_kg_per_mwh,
        ramp_w=ramps.up_w,
        ramp_down_w=ramps.down_w,
        drawn_before_w=None if ramps.before_w is None else ramps.before_w + ramps.margin_w + inputs.bias_w,
    )


def planned_limits_w(
    standing_limit_w: float | None, events: tuple[GridEvent, ...], horizon: Horizon
) -> tuple[float | None, ...]:
    """Limit of each interval: the most restrictive one that holds at any time of it (R9).

    The present interval takes only what is in force now, so that nothing is curtailed before an event's start.
    """
    return Limits(standing_limit_w, events).planned(horizon)


def allowed_pools(
    site: Site, request_class: RequestClass, batches: tuple[float, ...], shares: tuple[float, ...]
) -> tuple[bool, ...]:
    """Pools whose precision the class allows and that keep its latencies.

    Where none keeps both, those that keep the time between tokens; where none keeps that, those of the precision.

    Args:
        site: the fleet.
        request_class: of the site.
        batches: [k], largest batch within the time between tokens.
        shares: [k], largest share of the engine time within the time to first token.
    """
    may = tuple(request_class.may_use(pool) for pool in site.pools)
    flows = tuple(use and batch >= 1.0 for use, batch in zip(may, batches, strict=True))
    keeps = tuple(use and share > 0.0 for use, share in zip(flows, shares, strict=True))
    return next((found for found in (keeps, flows) if any(found)), may)


def remaining_s(view: View, now_s: float, retry_s: float) -> float:
    """Time until an instance that is waking or starting serves, s; 0 for others.

    One that is late by more than a further attempt takes is not counted on any more.
    """
    if view.intent.phase is not Phase.WAKE or view.state is InstanceState.UNREACHABLE:
        return 0.0
    curves = view.pool.curves
    cold = view.state in (InstanceState.OFF, InstanceState.STARTING)
    latency_s = curves.start_s if cold else curves.wake_s
    waited_s = now_s - view.intent.since_s
    return math.inf if waited_s > 2 * latency_s + retry_s else max(0.0, latency_s - waited_s)


def _pool(pool: Pool, k: int, inputs: Inputs, horizon: Horizon, moves_usd: tuple[float, ...]) -> PoolData:
    now_s = inputs.now_s
    freed_s = now_s if inputs.over_limit else released_s(inputs.events, now_s, horizon.start_of(horizon.steps))
    views = [view for view in inputs.views if view.pool_index == k]
    reachable = [view for view in views if view.state is not InstanceState.UNREACHABLE]
    on = [view for view in reachable if view.is_on]
    asleep = sum(view.intent.phase is Phase.SLEEP for view in reachable)
    steps = range(horizon.steps)
    waits_s = [remaining_s(view, now_s, inputs.retry_s) for view in on]
    late = [sum(min(1.0, max(0.0, wait_s / horizon.dt_s - t)) for wait_s in waits_s) for t in steps]
    coming = [sum(wait_s > t * horizon.dt_s for wait_s in waits_s) for t in steps]
    young = [
        sum(
            view.intent.phase is Phase.SERVE and freed_s < view.intent.since_s > horizon.start_of(t) - pool.min_up_s
            for view in on
        )
        for t in steps
    ]
    staying = sum(view.intent.phase is not Phase.DRAIN for view in on)
    # What drains brings the power down: to take it back before it has is a move, as the time until then begins anew.
    leaving = len(on) - staying if inputs.is_full else 0
    max_on = len(on) if pool.is_held else min(pool.max_instances, len(reachable))
    settling_s = settled_s(inputs.raised, pool, freed_s)
    # An instance that is still coming up cannot be put to sleep at all.
    locked = [staying if horizon.start_of(t) < settling_s else coming[t] + young[t] for t in steps]
    return PoolData(
        pool_id=pool.pool_id,
        instances=len(reachable),
        on_now=len(on) - leaving,
        sleeping_now=asleep + (leaving if pool.can_sleep else 0),
        min_on=max_on if pool.is_held else min(pool.min_on, max_on),
        max_on=max(max_on, max(coming)),
        locked=tuple(min(count, max(max_on, coming[t])) for t, count in enumerate(locked)),
        late=tuple(late),
        gpus_per_instance=pool.gpus_per_instance,
        p0_w=pool.curves.p0_w,
        sleeping_w=pool.curves.sleeping_w,
        off_w=pool.curves.off_w,
        quality_loss_frac=pool.quality_loss_frac,
        wake_s=pool.curves.wake_s + inputs.exchange.wait_of_s(k),
        start_s=pool.curves.start_s,
        start_usd=pool.start_usd,
        min_up_steps=max(1, math.ceil(pool.min_up_s / horizon.dt_s)),
        exchange_usd=moves_usd,
        may_sleep=pool.can_sleep,
        may_stop=pool.may_stop,
        is_held=pool.is_held,
    )


def _class(
    site: Site, r: int, inputs: Inputs, horizon: Horizon, called: tuple[bool, ...], serve_usd: float
) -> ClassData:
    cls = site.classes[r]
    planned = inputs.demand[r].planned(horizon.steps)
    # Not before the limit is in force: saving for it draws more, and raises the baseline that it is measured by.
    overdraws = cls.quality_may_overdraw and called[0]
    return ClassData(
        class_id=cls.class_id,
        demand_tokens_per_s=planned,
        quality_budget_frac=budgets(cls, inputs.burns[r], planned, horizon, called),
        quality_usd_per_mtoken=cls.quality_usd_per_mtoken,
        serve_usd_per_token=serve_usd,
        survives_loss=cls.survives_loss,
        quality_window=overdraws,
        may_wait=cls.may_wait,
    )
