import pytest

from controller.optimizer.terms.switching import decision_times, least_up_time, switching_cost, transitions
from tests.fakes.problems import pool_data, problem
from tests.fakes.terms import Desk

DATA = problem()  # each pool: 1 on, 2 asleep
STILL = {"on": [[1.0] * 3] * 2, "sleeping": [[2.0] * 3] * 2}


def test_instances_that_stay_need_no_move():
    assert Desk(DATA, **STILL).violation(transitions) == 0.0
    assert Desk(DATA).is_dpp(transitions)


def test_a_wake_takes_a_sleeper():
    on, sleeping = [[1.0, 2.0, 2.0], [1.0] * 3], [[2.0, 1.0, 1.0], [2.0] * 3]
    woken = [[0.0, 1.0, 0.0], [0.0] * 3]
    assert Desk(DATA, on=on, sleeping=sleeping, wakes=woken).violation(transitions) == 0.0
    assert Desk(DATA, on=on, sleeping=sleeping).violation(transitions) == pytest.approx(1.0)


def test_sleep_and_stop_lead_down():
    on, sleeping = [[0.0] * 3, [1.0] * 3], [[3.0, 2.0, 2.0], [2.0] * 3]
    down = {"sleeps": [[1.0, 0.0, 0.0], [0.0] * 3], "stops": [[0.0, 1.0, 0.0], [0.0] * 3]}
    assert Desk(DATA, on=on, sleeping=sleeping, **down).violation(transitions) == 0.0


def test_a_woken_instance_stays_for_its_least_time():
    data = problem(pools=(pool_data("full", min_up_steps=2), pool_data("lean")))
    woken = [[1.0, 0.0, 0.0], [0.0] * 3]
    assert Desk(data, on=[[1.0, 1.0, 0.0], [0.0] * 3], wakes=woken).violation(least_up_time) == 0.0
    assert Desk(data, on=[[1.0, 0.0, 0.0], [0.0] * 3], wakes=woken).violation(least_up_time) == pytest.approx(1.0)
    assert Desk(data).is_dpp(least_up_time)


def test_a_started_instance_stays_until_it_serves():
    started = [[1.0, 0.0, 0.0], [0.0] * 3]  # 90 s
    gone = Desk(DATA, on=[[1.0, 0.0, 0.0], [0.0] * 3], starts=started)
    assert gone.violation(least_up_time) == pytest.approx(1.0)


def test_locked_instances_stay_on():
    data = problem(pools=(pool_data("full", locked=(1, 1, 0)), pool_data("lean")))
    assert Desk(data, on=[[1.0, 1.0, 0.0], [0.0] * 3]).violation(least_up_time) == 0.0
    assert Desk(data, on=[[1.0, 0.0, 0.0], [0.0] * 3]).violation(least_up_time) == pytest.approx(1.0)


def test_instances_move_only_where_it_can_pay():
    early, late = [[0.0, 1.0, 0.0], [0.0] * 3], [[0.0, 0.0, 1.0], [0.0] * 3]
    assert Desk(DATA, wakes=early).violation(decision_times) == 0.0
    assert Desk(DATA, wakes=late).violation(decision_times) == pytest.approx(1.0)
    assert Desk(DATA).is_dpp(decision_times)


def test_stops_may_be_forbidden():
    stopped = [[1.0, 0.0, 0.0], [0.0] * 3]
    assert Desk(DATA, stops=stopped).violation(decision_times) == 0.0
    assert Desk(problem(may_stop=False), stops=stopped).violation(decision_times) == pytest.approx(1.0)


def test_moves_cost_and_a_stop_carries_its_cold_start():
    data = problem(pools=(pool_data("full", start_usd=0.5), pool_data("lean", start_usd=0.0)))
    woken = Desk(data, wakes=[[1.0, 0.0, 0.0], [0.0] * 3])
    assert woken.cost(switching_cost) == pytest.approx(0.5e6)
    assert Desk(data, starts=[[0.0] * 3, [1.0, 0.0, 0.0]]).cost(switching_cost) == pytest.approx(1.0)
    # 1,000 W · 1.2 for 90 s at 50 USD/MWh
    stopped = Desk(data, stops=[[0.0] * 3, [1.0, 0.0, 0.0]])
    assert stopped.cost(switching_cost) == pytest.approx(1200 * 90 / 3.6e9 * 50 * 1e6)
    assert woken.is_dpp_cost(switching_cost)
