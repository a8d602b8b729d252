"""An event, played by the service's own `tick.decide` under a virtual clock."""

from __future__ import annotations

from functools import cache

from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation import scenario
from controller.simulation.replay import Outcome
from tests.fakes import scenarios

SECONDS = 120.0
START_S, END_S, RAMP_S = 50.0, 110.0, 30.0


def planner() -> CvxpyPlanner:
    return CvxpyPlanner(lambda: 0.0)


def event(limit_w: float) -> GridEvent:
    start_s = scenarios.START_S
    return GridEvent("e", limit_w, start_s + START_S, start_s + END_S, start_s + 35.0, RAMP_S)


@cache
def free() -> Outcome:
    return scenario.run(scenarios.mixed(seconds=SECONDS), planner()).outcome


@cache
def curtailed() -> tuple[float, Outcome]:
    before_w = mean(free(), 15.0, 35.0)
    limit_w = 0.7 * before_w
    return limit_w, scenario.run(scenarios.mixed(seconds=SECONDS, events=(event(limit_w),)), planner()).outcome


def mean(outcome: Outcome, from_s: float, to_s: float) -> float:
    within = outcome.power_w[int(from_s) : int(to_s)]
    return sum(within) / len(within)


def test_the_power_stays_under_the_limit_after_the_ramp() -> None:
    limit_w, outcome = curtailed()
    means = [mean(outcome, second, second + 5) for second in range(int(START_S + RAMP_S), int(END_S) - 4, 5)]
    assert len(means) == 6
    assert max(means) <= limit_w


def test_the_limit_is_what_made_the_difference() -> None:
    limit_w, outcome = curtailed()
    assert mean(free(), START_S + RAMP_S, END_S) > limit_w
    assert mean(outcome, 15.0, 35.0) > limit_w


def test_no_token_is_lost() -> None:
    assert free().tokens_lost == 0
    assert curtailed()[1].tokens_lost == 0
    assert curtailed()[1].requests_finished == curtailed()[1].requests


def test_the_tokens_move_to_the_lower_precision() -> None:
    def share(outcome: Outcome) -> float:
        return outcome.tokens_by_pool.get(scenarios.site().pools[1].pool_id, 0.0) / outcome.tokens_served

    assert share(curtailed()[1]) > share(free()) + 0.1


def test_equal_seeds_give_equal_runs() -> None:
    limit_w, outcome = curtailed()
    again = scenario.run(scenarios.mixed(seconds=SECONDS, events=(event(limit_w),)), planner()).outcome
    assert again.power_w == outcome.power_w
    assert again.tokens_by_pool == outcome.tokens_by_pool
    other = scenario.run(scenarios.mixed(seconds=SECONDS, seed=2), planner()).outcome
    assert other.power_w != outcome.power_w


def test_a_limit_below_everything_still_loses_no_token() -> None:
    start_s = scenarios.START_S + 20.0
    impossible = GridEvent("e", 1000.0, start_s, start_s + 30.0, start_s - 5.0, 10.0)
    outcome = scenario.run(scenarios.mixed(seconds=60.0, events=(impossible,)), planner()).outcome
    assert outcome.tokens_lost == 0
    assert mean(outcome, 40.0, 50.0) < mean(outcome, 10.0, 20.0)
