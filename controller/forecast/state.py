"""Everything that forecasts have learnt, as one tick hands it to the next: frozen, bounded, plain values."""

from __future__ import annotations

from dataclasses import dataclass

from controller.forecast.arrivals import ArrivalState, watch
from controller.forecast.demand import DemandState
from controller.forecast.policy import ForecastPolicy
from controller.forecast.signals import SignalState, watch_signal
from controller.model.observation import Observation
from controller.model.plan import Horizon


@dataclass(frozen=True, slots=True)
class ForecastState:
    """What was learnt of each series; None before the first tick."""

    arrivals: ArrivalState | None = None
    price: SignalState | None = None
    carbon: SignalState | None = None


def learn_all(
    state: ForecastState,
    counted: tuple[DemandState, DemandState],
    observation: Observation,
    horizon: Horizon,
    policy: ForecastPolicy,
) -> ForecastState:
    """Take in one observation.

    Args:
        state: of the tick before.
        counted: present demand at the tick before and now.
        observation: prices and emission rates in force.
        horizon: of the plan.
        policy: how forecasts are made.
    """
    return ForecastState(
        arrivals=watch(state.arrivals, counted, horizon, policy),
        price=watch_signal(state.price, observation.price_usd_per_mwh, horizon, policy),
        carbon=watch_signal(state.carbon, observation.carbon_kg_per_mwh, horizon, policy),
    )
