import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from tests.fakes.problems import class_data, problem


@pytest.fixture(scope="module")
def planner():
    return CvxpyPlanner(lambda: 0.0)


def test_the_first_interval_stands_alone_with_what_serves():
    now = first_interval(problem(limit_w=(4000.0, None, None)), (2, 0))
    assert now.horizon.steps == 1
    assert [pool.on_now for pool in now.pools] == [2, 0]
    assert [pool.sleeping_now for pool in now.pools] == [1, 2]
    assert now.sites[0].limit_w == (4000.0,)


def test_tokens_go_to_the_frugal_pool_as_far_as_quality_allows(planner):
    data = problem()
    plan = planner.dispatch(data, (1, 1))
    assert plan.origin is PlanOrigin.DISPATCH
    assert [pool.output_tokens_per_s[0][1][0] for pool in plan.pools] == pytest.approx([400.0, 400.0])
    assert violations(plan, first_interval(data, (1, 1))) == ()


def test_a_pool_without_instances_gets_nothing(planner):
    plan = planner.dispatch(problem(), (1, 0))
    assert [pool.output_tokens_per_s[0][1][0] for pool in plan.pools] == pytest.approx([800.0, 0.0])


def test_too_few_instances_are_told(planner):
    plan = planner.dispatch(problem(classes=(class_data("standard", 2000.0),)), (1, 0))
    assert {(s.promise, s.subject) for s in plan.slack} == {("serve", "standard"), ("headroom", "full")}


def test_it_follows_the_demand_between_two_slow_solves(planner):
    for rate in (100.0, 500.0, 700.0):
        plan = planner.dispatch(problem(classes=(class_data("standard", rate),)), (1, 1))
        assert sum(pool.output_tokens_per_s[0][1][0] for pool in plan.pools) == pytest.approx(rate)
