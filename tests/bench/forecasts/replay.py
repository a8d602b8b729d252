"""Every forecaster over a series, as the controller runs them: what each said, before the outcome was known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from controller.forecast.arrivals import arrival_rules, watch
from controller.forecast.bank import BankState, Given, Rules, lasting, say, take_in
from controller.forecast.demand import DemandState, update
from controller.forecast.policy import ForecastPolicy
from controller.forecast.scale import unscaled
from controller.forecast.signals import signal_rules
from controller.model.observation import ClassDemand, RouterObservation
from controller.model.plan import Horizon
from router.contract import ClassId
from tests.bench.forecasts.cases import MIDNIGHT_S, DemandCase, SignalCase

IN_USE = "**in use**"
CLASS = ClassId("class")
Key = tuple[str, int, int]
"""Forecaster, lead, target."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay.

    Attributes:
        said: point forecast and planned value, in the series' unit.
        outcomes: mean value of each interval.
        first: number of the first of them.
        used: intervals at which each forecaster was the one in use.
        switches: changes of it.
    """

    said: Mapping[Key, tuple[float, float]]
    outcomes: np.ndarray
    first: int
    leads: tuple[int, ...]
    names: tuple[str, ...]
    used: Mapping[str, int]
    switches: int


def of_demand(case: DemandCase, quantile: float) -> Replayed:
    """The controller's own path from counters to forecasts."""
    policy = ForecastPolicy(demand_quantile=quantile)
    rules = arrival_rules(policy, Horizon(0.0, case.step_s, case.steps))
    said: dict[Key, tuple[float, float]] = {}
    chosen: list[str] = []
    state, arrivals, last = DemandState(), None, None
    ticks = np.arange(0.0, case.duration_s + 1e-9, case.tick_s)
    for tick_s, count in zip(ticks, np.searchsorted(case.arrivals_s, ticks), strict=True):
        counted = float(count)
        report = RouterObservation(MIDNIGHT_S + tick_s, 1, (ClassDemand(CLASS, counted, counted, 0.0, 0.0),))
        now = update(state, report, 15.0, 90.0)
        arrivals = watch(arrivals, (state, now), Horizon(MIDNIGHT_S + tick_s, case.step_s, case.steps), policy)
        state = now
        bank = arrivals.classes[0].bank
        if bank.last is not None and bank.last != last:
            said |= _said(bank, rules)
            chosen.append(rules.names[bank.chosen])
            last = bank.last
    edges = np.arange(0.0, case.duration_s + 1e-9, case.step_s)
    outcomes = np.diff(np.searchsorted(case.arrivals_s, edges)) / case.step_s
    return _replayed(said, outcomes, round(MIDNIGHT_S / case.step_s), rules, chosen)


def of_signal(case: SignalCase) -> Replayed:
    """The bank of a price or carbon series, one value an interval."""
    rules = signal_rules(ForecastPolicy(), Horizon(0.0, case.step_s, case.steps))
    said: dict[Key, tuple[float, float]] = {}
    chosen: list[str] = []
    bank = BankState.initial(rules)
    for index, value in enumerate(map(float, case.values)):
        bank = take_in(bank, rules, index, value)
        bank = say(bank, rules, (lasting(value), _feed(case, index)))
        said |= _said(bank, rules)
        speaks = [number for number in bank.ranking if bank.records[number].said[0]]
        chosen.append(rules.names[speaks[0] if speaks else 0])
    return _replayed(said, case.values, 0, rules, chosen)


def _feed(case: SignalCase, index: int) -> Given:
    return lambda target: None if case.ahead is None else case.ahead(index, target)


def _said(bank: BankState, rules: Rules) -> dict[Key, tuple[float, float]]:
    """What was said last, and what the plan would take of it."""
    found: dict[Key, tuple[float, float]] = {}
    for place, lead in enumerate(rules.leads):
        target = bank.last + lead
        fresh = {
            number: (_unit(waiting[-1].point, rules), _unit(waiting[-1].planned, rules))
            for number, record in enumerate(bank.records)
            if (waiting := record.said[place]) and waiting[-1].target == target and waiting[-1].planned is not None
        }
        found |= {(rules.names[number], lead, target): pair for number, pair in fresh.items()}
        best = next((number for number in bank.ranking if number in fresh), None)
        if best is not None:
            found[IN_USE, lead, target] = fresh[best]
    return found


def _unit(value: float, rules: Rules) -> float:
    return unscaled(value, rules.scale, rules.grid.step_s)


def _replayed(
    said: Mapping[Key, tuple[float, float]], outcomes: np.ndarray, first: int, rules: Rules, chosen: list[str]
) -> Replayed:
    switches = sum(a != b for a, b in pairwise(chosen))
    return Replayed(said, outcomes, first, rules.leads, (*rules.names, IN_USE), Counter(chosen), switches)
