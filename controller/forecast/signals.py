"""Price and carbon over the horizon: the feed's own forecast while its record holds, then what was learnt of the feed.

A feed that tells what comes, as a day-ahead market does, is believed. Its forecasts are scored against persistence all
the same, and against what the series' own days have been like; a feed whose forecasts do worse than its present value
is asked for the present only. Prices enter the plan's cost linearly, so that means are planned, not quantiles.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from controller.forecast.bank import BankState, Rules, lasting, memory_intervals, planned, say, take_in
from controller.forecast.demand import PERSISTENCE
from controller.forecast.policy import ForecastPolicy
from controller.forecast.record import ladder
from controller.forecast.scale import Scale
from controller.forecast.season import Season
from controller.forecast.smoothing import Grid, SmoothingSpec
from controller.model.grid import Series
from controller.model.observation import Missing
from controller.model.plan import Horizon

FEED = 1
"""Place of the feed among the forecasters."""
SPECS = (
    SmoothingSpec.seasonal_naive("same_time_yesterday", Season.DAY),
    SmoothingSpec.holt_winters("holt_winters_day", Season.DAY),
)
"""Forecasters of a price or carbon series beside persistence and its feed."""


@dataclass(frozen=True, slots=True)
class SignalState:
    """A series' present interval and its forecasters.

    Attributes:
        step_s: length of the intervals; with another one, everything is learnt anew.
        steps: intervals of the horizon that is scored.
        index: the interval under way, None before the first value.
        total, samples: sum and number of the values seen in it.
    """

    step_s: float
    steps: int
    bank: BankState
    index: int | None = None
    total: float = 0.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class SignalForecast:
    """Values of each interval.

    Attributes:
        fallback: why something other than the feed's own value stands for the first interval; None where it does not.
        forecaster: whose values stand for the later ones.
    """

    values: tuple[float, ...]
    fallback: str | None
    forecaster: str = "feed"


def signal_rules(policy: ForecastPolicy, horizon: Horizon) -> Rules:
    """How a price or carbon series is forecast over a horizon."""
    return Rules(
        given=(PERSISTENCE, "feed"),
        specs=tuple(spec for spec in SPECS if spec.fits(horizon.dt_s)),
        grid=Grid(horizon.dt_s, ZoneInfo(policy.timezone)),
        scale=Scale.PLAIN,
        leads=ladder(horizon.steps),
        quantile=None,
        margin_frac=policy.switch_margin_frac,
        memory_intervals=memory_intervals(horizon.dt_s),
        initial=FEED,
    )


def watch_signal(
    state: SignalState | None, signal: Series | Missing, horizon: Horizon, policy: ForecastPolicy
) -> SignalState:
    """Take in the value in force at the horizon's start; where there is none, nothing is learnt."""
    rules = signal_rules(policy, horizon)
    if state is None or (state.step_s, state.steps) != (horizon.dt_s, horizon.steps):
        state = SignalState(horizon.dt_s, horizon.steps, BankState.initial(rules))
    value = None if isinstance(signal, Missing) else signal.at(horizon.start_s)
    if value is None or isinstance(signal, Missing):
        return state
    index = math.floor(horizon.start_s / horizon.dt_s)
    if state.index is None or index == state.index:
        return SignalState(state.step_s, state.steps, state.bank, index, state.total + value, state.samples + 1)
    bank = take_in(state.bank, rules, state.index, state.total / state.samples)
    if state.index == index - 1:
        bank = say(bank, rules, _given(signal, value, horizon.dt_s))
    return SignalState(state.step_s, state.steps, bank, index, value, 1)


def forecast(
    signal: Series | Missing,
    horizon: Horizon,
    default: float,
    stale_s: float,
    learnt: tuple[SignalState | None, ForecastPolicy] = (None, ForecastPolicy()),
) -> SignalForecast:
    """One value an interval: the value in force for the first, means for the others.

    Beyond the feed's series, and instead of it where its record is worse than persistence, stands what was learnt.
    Where nothing was, the series' last value persists for `stale_s`, and then `default` holds, as it does before the
    series' start.

    Args:
        signal: what the feed tells.
        horizon: of the plan.
        default: configured value.
        stale_s: how long the last value holds after the series' end.
        learnt: what was learnt of the signal, None for nothing, and how.
    """
    if isinstance(signal, Missing):
        return SignalForecast((default,) * horizon.steps, f"{signal.source} is missing: {signal.reason}", "default")
    fed = [_of_feed(signal, horizon, step) for step in range(horizon.steps)]
    own, forecaster = _learnt(signal, horizon, learnt)
    values = []
    for step, value in enumerate(fed):
        chosen = own(step, value is None) if step else None
        if chosen is None:
            chosen = _held(signal, horizon.start_of(step), default, stale_s) if value is None else value
        values.append(chosen)
    return SignalForecast(tuple(values), _fallback(signal, horizon.start_s, stale_s), forecaster)


def mean_over(signal: Series, start_s: float, end_s: float) -> float | None:
    """Mean value over a time that begins within the series, of the part that the series covers; None elsewhere."""
    if signal.at(start_s) is None:
        return None
    end_s = min(end_s, signal.end_s)
    first = bisect_right(signal.starts_s, start_s) - 1
    total, at_s = 0.0, start_s
    for index in range(first, len(signal.values)):
        until_s = signal.starts_s[index + 1] if index + 1 < len(signal.values) else signal.end_s
        total += signal.values[index] * (min(until_s, end_s) - at_s)
        at_s = min(until_s, end_s)
        if at_s >= end_s:
            break
    return total / (end_s - start_s)


def _of_feed(signal: Series, horizon: Horizon, step: int) -> float | None:
    if step == 0:
        return signal.at(horizon.start_s)
    return mean_over(signal, horizon.start_of(step), horizon.start_of(step + 1))


def _held(signal: Series, time_s: float, default: float, stale_s: float) -> float:
    """What stands in for a feed that says nothing of a time."""
    return signal.values[-1] if signal.end_s <= time_s < signal.end_s + stale_s else default


def _learnt(
    signal: Series, horizon: Horizon, learnt: tuple[SignalState | None, ForecastPolicy]
) -> tuple[Callable[[int, bool], float | None], str]:
    """What was learnt of an interval, where it is preferred to the feed or the feed is silent; and by whom."""
    value = signal.at(horizon.start_s)
    state, policy = learnt
    if state is None or value is None:
        return lambda _step, _silent: None, "feed"
    rules, order = signal_rules(policy, horizon), state.bank.ranking
    beyond = next(number for number in order if number != FEED)
    place = horizon.start_s / horizon.dt_s
    first = math.floor(place)
    rates = planned(state.bank, rules, range(first, first + horizon.steps + 1), _given(signal, value, horizon.dt_s))

    def own(step: int, silent: bool) -> float | None:
        before, after = rates[step], rates[step + 1]
        if before is None or after is None or (order[0] == FEED and not (silent and beyond != 0)):
            return None
        return before + (place - first) * (after - before)

    return own, rules.names[order[0]]


def _given(signal: Series, value: float, step_s: float) -> tuple[Callable[[int], float | None], ...]:
    """Persistence and the feed, by intervals of the clock."""
    return lasting(value), lambda target: mean_over(signal, target * step_s, (target + 1) * step_s)


def _fallback(signal: Series, now_s: float, stale_s: float) -> str | None:
    if signal.at(now_s) is not None:
        return None
    if now_s < signal.starts_s[0]:
        return f"{signal.source} begins {signal.starts_s[0] - now_s:.0f} s from now; the configured value holds"
    age_s = now_s - signal.end_s
    held = "its last value persists" if age_s < stale_s else "the configured value holds"
    return f"{signal.source} ended {age_s:.0f} s ago; {held}"
