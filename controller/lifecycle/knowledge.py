"""What a tick finds out before it plans: instances, demand, power and signals, put together as the problem of now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.forecast import demand as demands
from controller.forecast.signals import SignalForecast
from controller.forecast.state import ForecastState
from controller.lifecycle.accounts import burn, freeze_baselines
from controller.lifecycle.barring import left_out
from controller.lifecycle.drawn import find_drawn, margin_of
from controller.lifecycle.exchange import exchange_of
from controller.lifecycle.limits import Limits, follow, owed
from controller.lifecycle.memory import Memory, Phase, TokenCount
from controller.lifecycle.modelled_power import count_tokens
from controller.lifecycle.obedience import Astray, watch
from controller.lifecycle.outlook import look_ahead
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.power_loop import Measured, due_limit_w, measured_power
from controller.lifecycle.problem import Inputs, build, build_firm
from controller.lifecycle.ramps import Ramps, departing_higher, ramps
from controller.lifecycle.refit import Learnt, doubt_w
from controller.lifecycle.triggers import holding, router_age_s
from controller.lifecycle.views import View, look, natural_intent
from controller.model.fleet import Site
from controller.model.grid import GridEvent, released_s
from controller.model.observation import Missing, Observation
from controller.optimizer.data import ProblemData


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at a tick.

    Attributes:
        forecasts: what was learnt of demand, price and carbon.
        demand: of each class, in the site's order.
        measured: power at the meter.
        margin_frac: share of the limits kept free, by where that power is known from and how surely.
        modelled_w: power at the meter by the model, for the instances as they are.
        charged_w: the same by the plan's rule, in which an instance with work draws P0 all the time.
        price, carbon: over the horizon.
        inputs: what the problem of now is made of.
        data: the problem of now, with the demand to plan instances for.
        firm: the same under the limits that outrank the classes alone, where others are more restrictive; else None.
        limits: all that are known.
        events: those known.
        limit_w: limit in force now at the meter, None without one.
        router_age_s: age of the routers' report, None where it is missing.
        holding: why no instance may be drained, None where they may.
        ramps: bounds on the steps of power, with what took their place.
        over_limit: whether more is drawn than the limit in force allows.
        is_called: whether an event is in force.
    """

    now_s: float
    views: tuple[View, ...]
    tokens: tuple[TokenCount, ...]
    demand_state: demands.DemandState
    forecasts: ForecastState
    demand: tuple[demands.Demand, ...]
    measured: Measured
    margin_frac: float
    modelled_w: float
    charged_w: float
    price: SignalForecast
    carbon: SignalForecast
    inputs: Inputs
    data: ProblemData
    firm: ProblemData | None
    limits: Limits
    events: tuple[GridEvent, ...]
    limit_w: float | None
    router_age_s: float | None
    holding: str | None
    ramps: Ramps
    over_limit: bool
    is_called: bool

    @property
    def released_s(self) -> float:
        """Instances that serve since then or longer have no least up-time now."""
        return self.now_s if self.over_limit else released_s(self.events, self.now_s, self.now_s)

    @property
    def present(self) -> ProblemData:
        """The same problem with the demand of now in its first interval, for the dispatch."""
        return self.presently(self.data)

    def presently(self, data: ProblemData) -> ProblemData:
        """A problem with the demand of now in its first interval."""
        classes = tuple(
            replace(cls, demand_tokens_per_s=(demand.now_tokens_per_s, *cls.demand_tokens_per_s[1:]))
            for cls, demand in zip(data.classes, self.demand, strict=True)
        )
        return replace(departing_higher(data, -self.ramps.margin_w), classes=classes)


def account(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> Memory:
    """Book what happened since the last tick: quality burnt, power measured, baselines due, routers gone astray."""
    measured = measured_power(site, observation, policy.reading_stale_s)
    history, window_s = memory.history, policy.baseline_window_s
    router = observation.router
    baselines = freeze_baselines(
        memory.baselines_w,
        history,
        observation.events,
        observation.now_s,
        window_s=window_s,
        prepare_s=policy.prepare_s,
    )
    followed = follow(
        memory.followed,
        observation,
        measured.value_w,
        baselines_w=(*memory.baselines_w, *baselines),
        order=policy.precedence,
        margin_frac=policy.by_meter(measured.error_frac).margin_of(measured.rung),
    )
    if measured.value_w is not None:
        history = history.with_sample(observation.now_s, measured.value_w, window_s + policy.prepare_s)
    return replace(
        memory,
        burns=burn(site, memory.burns, memory.served, observation),
        served=memory.served if isinstance(router, Missing) else router.demand,
        history=history,
        baselines_w=baselines,
        followed=followed,
        control=memory.control.after(
            observation.now_s,
            measured.value_w,
            is_held=due_limit_w(site, observation) is not None,
            is_settled=not any(intent.phase in (Phase.DRAIN, Phase.WAKE) for intent in memory.intents),
        ),
        astray=_astray(policy, memory, observation),
    )


def _astray(policy: TickPolicy, memory: Memory, observation: Observation) -> Astray | None:
    """Routers that obey somebody else, where they are to obey this controller."""
    if policy.mode is not Mode.ACT:
        return None
    issued, now_s = memory.sequence, observation.now_s
    return watch(memory.astray, observation.router, issued=issued, now_s=now_s, ttl_s=policy.table_ttl_s)


def find_out(
    site: Site, policy: TickPolicy, memory: Memory, observation: Observation, curves: Learnt | None = None
) -> Known:
    """Instances, demand, power and signals, put together as the problem of now; `curves` tells their doubt."""
    now_s = observation.now_s
    views = _look(site, policy, memory, observation)
    tokens = count_tokens(views, memory.tokens)
    foreseen = look_ahead(site, policy, memory, observation)
    drawn = find_drawn(site, policy, memory, observation, views, tokens)
    bounds = ramps(site, policy, memory, now_s)
    known = (site.import_limit_w, observation.events, memory.followed.returns, policy.precedence)
    limits = Limits(*known, owed(memory.history, observation.events, now_s, most_frac=policy.bias_max_frac))
    limit_w = limits.at(now_s)
    over_limit = limit_w is not None and drawn.measured.at_least(drawn.modelled_w) > limit_w
    is_called = released_s(observation.events, now_s, now_s) > -math.inf
    doubted_w = 0.0 if curves is None else doubt_w(curves, views, tokens)
    margin_frac = margin_of(policy, memory.control, drawn, doubted_w, limit_w, now_s)
    allowed_w = None if limit_w is None else limit_w * (1.0 - margin_frac)
    standing_w = drawn.most_w - drawn.leaving_w
    inputs = Inputs(
        exchange=exchange_of(site, policy, memory.plan, now_s, most_w=allowed_w, drawn_w=standing_w),
        now_s=now_s,
        views=views,
        demand=foreseen.demand,
        burns=memory.burns,
        events=observation.events,
        price_usd_per_mwh=foreseen.price.values,
        carbon_kg_per_mwh=foreseen.carbon.values,
        bias_w=drawn.bias_w,
        margin_frac=margin_frac,
        retry_s=policy.command_retry_s,
        ramps=bounds,
        over_limit=over_limit,
        is_full=allowed_w is not None and drawn.most_w > allowed_w,
        returns=limits.returns,
        owed=limits.owed,
        raised=memory.raised,
    )
    age_s = router_age_s(observation)
    return Known(
        now_s=now_s,
        views=views,
        tokens=tokens,
        demand_state=foreseen.state,
        forecasts=foreseen.learnt,
        demand=foreseen.demand,
        measured=drawn.measured,
        margin_frac=margin_frac,
        modelled_w=drawn.modelled_w,
        charged_w=drawn.charged_w,
        price=foreseen.price,
        carbon=foreseen.carbon,
        inputs=inputs,
        data=build(site, policy, inputs),
        firm=build_firm(site, policy, inputs),
        limits=limits,
        events=observation.events,
        limit_w=limit_w,
        router_age_s=age_s,
        is_called=is_called,
        holding=holding(policy, foreseen.state.observed_s, age_s, urgent=is_called or over_limit),
        ramps=bounds,
        over_limit=over_limit,
    )


def _look(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> tuple[View, ...]:
    """The instances with what is meant for them; what is not acted upon is left as it goes by itself."""
    views = look(
        site,
        memory.intents,
        observation,
        stale_s=policy.reading_stale_s,
        retry_s=policy.command_retry_s,
        barred=left_out(site, observation, serves_barred=policy.serves_barred),
    )
    acts, now_s = policy.mode is Mode.ACT, observation.now_s
    return tuple(
        view if acts and not view.pool.is_held else replace(view, intent=natural_intent(view, now_s)) for view in views
    )
