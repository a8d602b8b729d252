from dataclasses import replace

import numpy as np
import pytest

from controller.model.plan import Horizon
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import Earlier
from controller.optimizer.earlier import earlier_of, place_of
from controller.optimizer.solving import SolverOptions
from tests.fakes.least_cost import stated
from tests.fakes.problems import class_data, pool_data, problem

PLANNER = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0))


@pytest.fixture(scope="module")
def last():
    rising = class_data("standard", 0.0, demand_tokens_per_s=(10.0, 900.0, 1900.0))
    return PLANNER.plan(problem(classes=(rising,)), time_limit_s=5.0)


def at(start_s, **changes):
    return problem(horizon=Horizon(start_s, 60.0, 3), **changes)


def test_the_last_plan_is_shifted_and_its_last_interval_repeated(last):
    for start_s, indices in ((0.0, (0, 1, 2)), (59.0, (0, 1, 2)), (60.0, (1, 2, 2)), (120.0, (2, 2, 2))):
        found = earlier_of(at(start_s), last)
        assert found is not None
        assert found.on == tuple(tuple(pool.on[t] for t in indices) for pool in last.pools)
        assert found.sleeping == tuple(tuple(pool.sleeping[t] for t in indices) for pool in last.pools)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(at(180.0), id="it is over"),
        pytest.param(at(-60.0), id="it begins later"),
        pytest.param(at(0.0, pools=(pool_data("other"), pool_data("lean"))), id="of other pools"),
        pytest.param(problem(horizon=Horizon(0.0, 300.0, 3)), id="of longer intervals"),
    ],
)
def test_a_plan_of_something_else_is_no_place_to_search(data, last):
    assert earlier_of(data, last) is None


def test_its_instances_stand_where_the_program_has_them(last):
    data = at(60.0)
    program, earlier = stated(data), earlier_of(data, last)
    place = place_of(earlier, program)
    assert place is not None
    assert earlier is not None
    assert place[program.columns["on"]].tolist() == [list(map(float, row)) for row in earlier.on]
    assert np.isnan(place[program.columns["tokens"]]).all()
    assert place_of(None, program) is None


@pytest.mark.parametrize("on", [((0, 0, 0), (0, 0, 0)), ((9, 9, 9), (9, 9, 9)), ((3, 0, 3), (0, 3, 0))])
def test_an_earlier_plan_allows_and_forbids_nothing(on):
    data = problem(classes=(class_data("standard", 1500.0),), moves_anywhen=True)
    told = replace(data, earlier=Earlier(on, on))
    plain, near = (PLANNER.plan(each, time_limit_s=5.0) for each in (data, told))
    assert near.cost_usd == pytest.approx(plain.cost_usd, rel=1e-4)
    assert near.slack == plain.slack == ()
