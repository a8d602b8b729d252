"""What a tick foresees: each class's demand, the price and the carbon over the horizon."""

from __future__ import annotations

from dataclasses import dataclass

from controller.forecast import demand as demands
from controller.forecast.arrivals import foresee
from controller.forecast.signals import SignalForecast, forecast
from controller.forecast.state import ForecastState, learn_all
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Site
from controller.model.observation import Missing, Observation
from controller.model.plan import Horizon


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foreseen, and what it was foreseen by.

    Attributes:
        state: what is known of the demand; as it was where the routers told nothing.
        learnt: what was learnt of demand, price and carbon.
        demand: of each class, in the site's order.
        price, carbon: over the horizon.
    """

    state: demands.DemandState
    learnt: ForecastState
    demand: tuple[demands.Demand, ...]
    price: SignalForecast
    carbon: SignalForecast


def look_ahead(site: Site, policy: TickPolicy, memory: Memory, observation: Observation) -> Outlook:
    """Foresee by what an observation adds to what is remembered."""
    router, state = observation.router, memory.demand
    if not isinstance(router, Missing):
        state = demands.update(state, router, policy.demand_fast_tau_s, policy.demand_slow_tau_s)
    horizon, how = Horizon(observation.now_s, policy.step_s, policy.steps), policy.forecast
    learnt = learn_all(memory.forecasts, (memory.demand, state), observation, horizon, how)
    demand = tuple(
        foresee(learnt.arrivals, demands.estimate(state, cls, policy.step_s), state.of(cls.class_id), horizon, how)
        for cls in site.classes
    )
    stale_s, default = policy.signal_stale_s, (policy.default_price_usd_per_mwh, policy.default_carbon_kg_per_mwh)
    price = forecast(observation.price_usd_per_mwh, horizon, default[0], stale_s, (learnt.price, how))
    carbon = forecast(observation.carbon_kg_per_mwh, horizon, default[1], stale_s, (learnt.carbon, how))
    return Outlook(state, learnt, demand, price, carbon)
