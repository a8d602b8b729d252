from dataclasses import replace

import pytest

from controller.optimizer.terms.switching import decision_times, least_up_time, switching_cost, transitions
from tests.fakes.problems import at_site, class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

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


def hours(*demand, **pool):
    """Up to three instances of 900 tokens/s, 1,080 W more on than asleep: 0.054 USD an hour."""
    given = {"on_now": 2, "sleeping_now": 1, "wake_s": 0.0, **pool}
    return steady(
        pools=(pool_data("full", **given),),
        classes=(class_data("standard", 0.0, demand_tokens_per_s=demand),),
        peak_frac=0.9,
        may_stop=False,
    )


@golden(transitions, switching_cost)
def test_an_instance_sleeps_for_an_hour_only_where_its_wake_costs_less():
    assert planned(hours(1700.0, 800.0, 1700.0, start_usd=0.05)).pools[0].on == (2, 1, 2)
    assert planned(hours(1700.0, 800.0, 1700.0, start_usd=0.06)).pools[0].on == (2, 2, 2)


@golden(least_up_time)
def test_what_is_woken_for_a_peak_stays_for_its_least_time():
    asleep, prices = {"on_now": 0, "sleeping_now": 3}, (60.0, 50.0, 50.0)
    long, short = (hours(0.0, 800.0, 0.0, min_up_steps=steps, **asleep) for steps in (2, 1))
    assert planned(at_site(long, price_usd_per_mwh=prices)).pools[0].on == (0, 1, 1)
    assert planned(at_site(short, price_usd_per_mwh=prices)).pools[0].on == (0, 1, 0)


@golden(decision_times)
def test_a_small_change_of_demand_late_in_the_horizon_moves_nothing():
    assert planned(hours(1000.0, 1000.0, 880.0)).pools[0].on == (2, 2, 2)
    assert planned(replace(hours(1000.0, 1000.0, 880.0), moves_anywhen=True)).pools[0].on == (2, 2, 1)
