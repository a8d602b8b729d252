"""What a tick finds out before it plans: instances, demand, power and signals, put together as the problem of now."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.forecast import demand as demands
from controller.forecast.arrivals import foresee
from controller.forecast.signals import SignalForecast, forecast
from controller.forecast.state import ForecastState, learn_all
from controller.lifecycle.accounts import burn, freeze_baselines
from controller.lifecycle.barring import left_out
from controller.lifecycle.control_error import spared_frac
from controller.lifecycle.exchange import exchange_of
from controller.lifecycle.limits import Limits, follow, owed
from controller.lifecycle.memory import Memory, Phase, TokenCount
from controller.lifecycle.modelled_power import charged_at_meter_w, count_tokens, draining_power_w, modelled_power_w
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.power_loop import Measured, due_limit_w, measured_power, next_bias_w
from controller.lifecycle.problem import Inputs, build, build_firm
from controller.lifecycle.ramps import Ramps, departing_higher, ramps
from controller.lifecycle.refit import Learnt, doubt_w, widened_frac
from controller.lifecycle.triggers import holding, router_age_s
from controller.lifecycle.views import View, look, natural_intent
from controller.model.fleet import Site
from controller.model.grid import GridEvent, released_s
from controller.model.observation import Missing, Observation, Rung
from controller.model.plan import Horizon
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
            replace(cls, demand_tokens_per_s=(demand.output_tokens_per_s, *cls.demand_tokens_per_s[1:]))
            for cls, demand in zip(data.classes, self.demand, strict=True)
        )
        return replace(departing_higher(data, -self.ramps.margin_w), classes=classes)


def account(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> Memory:
    """Book what happened since the last tick: quality burnt, power measured, baselines that fall due."""
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
        margin_frac=policy.margin_of(measured.rung),
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
    )


def find_out(
    site: Site, policy: TickPolicy, memory: Memory, observation: Observation, curves: Learnt | None = None
) -> Known:
    """Instances, demand, power and signals, put together as the problem of now; `curves` tells their doubt."""
    now_s, router = observation.now_s, observation.router
    views = look(
        site,
        memory.intents,
        observation,
        stale_s=policy.reading_stale_s,
        retry_s=policy.command_retry_s,
        barred=left_out(site, observation, serves_barred=policy.serves_barred),
    )
    if policy.mode is not Mode.ACT:
        views = tuple(replace(view, intent=natural_intent(view, now_s)) for view in views)
    tokens = count_tokens(views, memory.tokens)
    state = memory.demand
    if not isinstance(router, Missing):
        state = demands.update(state, router, policy.demand_fast_tau_s, policy.demand_slow_tau_s)
    horizon, how = Horizon(now_s, policy.step_s, policy.steps), policy.forecast
    learnt = learn_all(memory.forecasts, (memory.demand, state), observation, horizon, how)
    demand = tuple(
        foresee(learnt.arrivals, demands.estimate(state, cls, policy.step_s), state.of(cls.class_id), horizon, how)
        for cls in site.classes
    )
    measured = measured_power(site, observation, policy.reading_stale_s)
    modelled_w = modelled_power_w(site, views, tokens)
    charged_w = charged_at_meter_w(site, views, tokens)
    bias_w = next_bias_w(
        policy,
        site,
        observation,
        (memory.bias_w, memory.bias_at_s),
        measured_w=measured.value_w,
        charged_w=charged_w,
        leaving_w=draining_power_w(site, views, tokens),
    )
    stale_s, default = policy.signal_stale_s, (policy.default_price_usd_per_mwh, policy.default_carbon_kg_per_mwh)
    price = forecast(observation.price_usd_per_mwh, horizon, default[0], stale_s, (learnt.price, how))
    carbon = forecast(observation.carbon_kg_per_mwh, horizon, default[1], stale_s, (learnt.carbon, how))
    bounds = ramps(site, policy, memory, now_s)
    known = (site.import_limit_w, observation.events, memory.followed.returns, policy.precedence)
    limits = Limits(*known, owed(memory.history, observation.events, now_s, most_frac=policy.bias_max_frac))
    limit_w = limits.at(now_s)
    over_limit = limit_w is not None and measured.at_least(modelled_w) > limit_w
    is_called = released_s(observation.events, now_s, now_s) > -math.inf
    doubted_w = 0.0 if curves is None else doubt_w(curves, views, tokens)
    usual_frac = policy.margin_of(measured.margin_rung)
    if measured.margin_rung is Rung.METER:
        usual_frac -= spared_frac(policy, memory.control, now_s)
    margin_frac = widened_frac(policy, usual_frac, doubted_w, limit_w or charged_w)
    inputs = Inputs(
        exchange=exchange_of(
            site,
            policy,
            memory.plan,
            now_s,
            most_w=None if limit_w is None else limit_w * (1.0 - margin_frac),
            drawn_w=measured.at_least(charged_w),
        ),
        now_s=now_s,
        views=views,
        demand=demand,
        burns=memory.burns,
        events=observation.events,
        price_usd_per_mwh=price.values,
        carbon_kg_per_mwh=carbon.values,
        bias_w=bias_w,
        margin_frac=margin_frac,
        retry_s=policy.command_retry_s,
        ramps=bounds,
        over_limit=over_limit,
        returns=limits.returns,
        owed=limits.owed,
    )
    age_s = router_age_s(observation)
    return Known(
        now_s=now_s,
        views=views,
        tokens=tokens,
        demand_state=state,
        forecasts=learnt,
        demand=demand,
        measured=measured,
        margin_frac=margin_frac,
        modelled_w=modelled_w,
        charged_w=charged_w,
        price=price,
        carbon=carbon,
        data=build(site, policy, inputs),
        firm=build_firm(site, policy, inputs),
        limits=limits,
        events=observation.events,
        limit_w=limit_w,
        router_age_s=age_s,
        is_called=is_called,
        holding=holding(policy, state.observed_s, age_s, urgent=is_called or over_limit),
        ramps=bounds,
        over_limit=over_limit,
    )
