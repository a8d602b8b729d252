import numpy as np
import pytest

from controller.model.plan import Horizon
from controller.optimizer.terms.capacity import engine_time, lagged
from controller.optimizer.variables import Shape
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem()  # an instance decodes 1,000 tokens/s, of which 900 are planned
FULL_ONLY = [[900.0] * 3, [0.0] * 3]
ONE_FULL = [[1.0] * 3, [0.0] * 3]


def test_an_instance_carries_its_share_and_no_more():
    assert Desk(DATA, tokens=FULL_ONLY, on=ONE_FULL).violation(engine_time) == pytest.approx(0.0, abs=1e-9)
    assert Desk(DATA, tokens=[[910.0] * 3, [0.0] * 3], on=ONE_FULL).violation(engine_time) == pytest.approx(0.01)
    assert Desk(DATA).is_dpp(engine_time)


def test_headroom_extends_it():
    desk = Desk(DATA, tokens=[[950.0] * 3, [0.0] * 3], on=ONE_FULL, over_busy=[[0.05] * 3, [0.0] * 3])
    assert desk.violation(engine_time) == pytest.approx(0.0, abs=1e-9)


def test_an_instance_that_wakes_serves_only_after_its_wake():
    # A wake of 6 s takes a tenth of the first minute: 900 - 90 tokens/s are left in it.
    woken = [[1.0, 0.0, 0.0], [0.0] * 3]
    ok = [[810.0, 900.0, 900.0], [0.0] * 3]
    assert Desk(DATA, tokens=ok, on=ONE_FULL, wakes=woken).violation(engine_time) == pytest.approx(0.0, abs=1e-9)
    assert Desk(DATA, tokens=FULL_ONLY, on=ONE_FULL, wakes=woken).violation(engine_time) == pytest.approx(0.09)


def test_a_cold_start_reaches_into_the_next_interval():
    # 90 s: nothing in the first minute, half of the second.
    started = [[1.0, 0.0, 0.0], [0.0] * 3]
    ok = [[0.0, 450.0, 900.0], [0.0] * 3]
    assert Desk(DATA, tokens=ok, on=ONE_FULL, starts=started).violation(engine_time) == pytest.approx(0.0, abs=1e-9)
    early = [[0.0, 500.0, 900.0], [0.0] * 3]
    assert Desk(DATA, tokens=early, on=ONE_FULL, starts=started).violation(engine_time) == pytest.approx(0.05)


def test_an_instance_still_coming_up_is_not_counted():
    late = problem(pools=(pool_data("full", late=(0.5, 0.0, 0.0)), pool_data("lean")))
    assert Desk(late, tokens=FULL_ONLY, on=ONE_FULL).violation(engine_time) == pytest.approx(0.45)


def test_lagged_moves_a_series_later():
    series = np.array([[1.0, 2.0, 3.0]])
    shape = Shape(sites=1, classes=1, steps=3, pairs=((0, 0),), site_of_pool=(0,))
    assert lagged(series, 0, shape) is series
    assert lagged(series, 2, shape).value.tolist() == [[0.0, 0.0, 1.0]]


@golden(engine_time)
def test_a_third_instance_helps_while_two_wake():
    # Two carry 1,800 tokens/s. A wake takes a tenth of the first minute: with one woken 1,710 are left of 1,750.
    minutes = {"horizon": Horizon(0.0, 60.0, 3), "peak_frac": 0.9}
    plan = planned(steady(pools=(pool_data("full"),), classes=(class_data("standard", 1750.0),), **minutes))
    assert plan.pools[0].on == (3, 2, 2)
    assert plan.slack == ()
    at_once = (pool_data("full", wake_s=0.0),)
    assert planned(steady(pools=at_once, classes=(class_data("standard", 1750.0),), **minutes)).pools[0].on == (2, 2, 2)
