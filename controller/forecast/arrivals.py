"""Demand over the horizon: what each class's forecasters have learnt from the arrivals, and what is planned for.

Arrivals of a class are counted by intervals of the plan's length, aligned to the clock. Persistence is the present
estimate, the larger of two smoothed rates (`controller.forecast.demand`); beside it stand simple smoothing, the same
time yesterday and last week, and Holt-Winters by day and by kind of day. Until enough outcomes are known for the
quantile, the present estimate itself is planned for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

from controller.forecast.bank import BankState, Rules, lasting, memory_intervals, planned, say, take_in
from controller.forecast.demand import FLOOR_RPS, PERSISTENCE, ClassEstimate, Demand, DemandState
from controller.forecast.intervals import OpenInterval, Span, take
from controller.forecast.policy import DemandForecast, ForecastPolicy
from controller.forecast.record import ladder
from controller.forecast.scale import Scale
from controller.forecast.season import Season
from controller.forecast.smoothing import Grid, SmoothingSpec
from controller.model.plan import Horizon
from router.contract import ClassId

SPECS = (
    SmoothingSpec("level", None, level_gain=0.2),
    SmoothingSpec.seasonal_naive("same_time_yesterday", Season.DAY),
    SmoothingSpec.seasonal_naive("same_time_last_week", Season.WEEK),
    SmoothingSpec.holt_winters("holt_winters_day", Season.DAY),
    SmoothingSpec.holt_winters("holt_winters_day_type", Season.DAY_TYPE),
)
"""Forecasters of demand beside persistence."""


@dataclass(frozen=True, slots=True)
class ClassArrivals:
    """One class's arrivals and forecasters.

    Attributes:
        open: the interval under way, None before the first difference of counters.
    """

    class_id: ClassId
    open: OpenInterval | None
    bank: BankState


@dataclass(frozen=True, slots=True)
class ArrivalState:
    """All classes seen.

    Attributes:
        step_s: length of the intervals; with another one, everything is learnt anew.
        steps: intervals of the horizon that was scored.
    """

    step_s: float
    steps: int
    classes: tuple[ClassArrivals, ...] = ()

    def of(self, class_id: ClassId) -> ClassArrivals | None:
        """What is foreseen of a class, None before it was seen."""
        return next((one for one in self.classes if one.class_id == class_id), None)


def arrival_rules(policy: ForecastPolicy, horizon: Horizon) -> Rules:
    """How demand is forecast over a horizon."""
    step_s = horizon.dt_s
    return Rules(
        given=(PERSISTENCE,),
        specs=tuple(spec for spec in SPECS if spec.fits(step_s)),
        grid=Grid(step_s, ZoneInfo(policy.timezone)),
        scale=Scale.ROOT,
        leads=ladder(horizon.steps),
        quantile=policy.demand_quantile,
        margin_frac=policy.switch_margin_frac,
        memory_intervals=memory_intervals(step_s),
    )


def watch(
    state: ArrivalState | None, counted: tuple[DemandState, DemandState], horizon: Horizon, policy: ForecastPolicy
) -> ArrivalState:
    """Take in what arrived between two states of the present demand.

    Args:
        state: of the tick before, None at the first.
        counted: present demand at the tick before and now.
        horizon: of the plan.
        policy: how forecasts are made.
    """
    before, after = counted
    if state is None or (state.step_s, state.steps) != (horizon.dt_s, horizon.steps):
        state = ArrivalState(horizon.dt_s, horizon.steps)
    if policy.demand is DemandForecast.PRESENT or after.observed_at_s == before.observed_at_s:
        return state
    rules = arrival_rules(policy, horizon)
    seen = {now.class_id: _watched(state.of(now.class_id), counted, now, rules) for now in after.classes}
    unseen = tuple(known for known in state.classes if known.class_id not in seen)
    return replace(state, classes=(*unseen, *seen.values()))


def _watched(
    known: ClassArrivals | None, counted: tuple[DemandState, DemandState], now: ClassEstimate, rules: Rules
) -> ClassArrivals:
    before, after = counted
    known = known or ClassArrivals(now.class_id, None, BankState.initial(rules))
    last = before.of(now.class_id)
    if last is None or before.observed_at_s is None or after.observed_at_s is None:
        return known
    arrived = now.counters.arrived_since(last.counters)
    span = Span(before.observed_at_s, after.observed_at_s, arrived if arrived >= 0 else None)
    closed, interval = take(known.open, span, rules.grid.step_s)
    bank = known.bank
    for one in closed:
        bank = take_in(bank, rules, one.index, one.rate_per_s)
    if closed:
        bank = say(bank, rules, (lasting(now.rps),))
    return ClassArrivals(now.class_id, interval, bank)


def foresee(
    state: ArrivalState | None, present: Demand, seen: ClassEstimate | None, horizon: Horizon, policy: ForecastPolicy
) -> Demand:
    """The demand with the rates to plan for.

    Interval t of the plan lies across intervals ``k + t`` and ``k + t + 1`` of the clock, k the one that holds now; it
    takes their rates by its share in each. The first one is never planned below the present demand.
    """
    known = None if seen is None or state is None else state.of(seen.class_id)
    if seen is None or known is None or policy.demand is DemandForecast.PRESENT:
        return present
    rules = arrival_rules(policy, horizon)
    place = horizon.start_s / horizon.dt_s
    first = math.floor(place)
    rates = planned(known.bank, rules, range(first, first + horizon.steps + 1), (lasting(seen.rps),))
    if any(rate is None for rate in rates):
        return present
    later = place - first
    tokens = tuple(
        max(FLOOR_RPS, (1.0 - later) * (a or 0.0) + later * (b or 0.0)) * present.output_tokens
        for a, b in pairwise(rates)
    )
    first_tokens = max(tokens[0], present.output_tokens_per_s)
    return replace(present, ahead_tokens_per_s=(first_tokens, *tokens[1:]), forecaster=rules.names[known.bank.chosen])
