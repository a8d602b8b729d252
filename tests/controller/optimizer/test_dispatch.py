import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from tests.fakes.problems import battery_data, class_data, pool_data, problem, response_data, steady


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


def test_nobody_waits_beyond_the_one_interval_it_knows():
    waiting = class_data("batch", 800.0, defer_steps=2, backlog_tokens_per_s=(50.0, 20.0), quality_window=True)
    now = first_interval(problem(classes=(waiting,)), (1, 1))
    assert now.classes[0].demand_tokens_per_s == pytest.approx((870.0,))
    assert (now.classes[0].defer_steps, now.classes[0].backlog_tokens_per_s) == (0, ())


def test_tokens_stay_within_the_ramp_of_the_site_where_it_outranks_them(planner):
    # One instance that serves draws 1,788 W, two asleep with it, and 0.36 W for each token/s.
    idle = {"pools": (pool_data("full"),), "classes": (class_data("standard", 800.0),), "ramp_w": 100.0}
    ramped = steady(**idle, drawn_before_w=1800.0, ramp_usd_per_w=100.0)
    plan = planner.dispatch(ramped, (1,))
    assert plan.sites[0].import_w == pytest.approx((1900.0,))
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(800.0 - 112 / 0.36))]
    assert violations(plan, first_interval(ramped, (1,))) == ()
    cheap = planner.dispatch(steady(**idle, drawn_before_w=1800.0, ramp_usd_per_w=1e-6), (1,))
    assert [(s.promise, s.amount) for s in cheap.slack] == [("ramp", pytest.approx(1788 + 288 - 1900))]
    assert planner.dispatch(steady(**idle), (1,)).slack == ()


def test_a_battery_is_kept_unless_a_promise_needs_it(planner):
    battery = battery_data(soc_wh=800.0)
    dear = steady(battery=battery, pv_w=(100.0,) * 3, response=response_data(), price_usd_per_mwh=(900.0,) * 3)
    kept = planner.dispatch(dear, (1,)).sites[0]
    assert (kept.discharge_w, kept.pv_w) == ((0.0,), (100.0,))
    limited = steady(battery=battery, limit_w=(1300.0,) * 3)
    used = planner.dispatch(limited, (1,))
    assert used.sites[0].import_w == pytest.approx((1300.0,))
    assert [s.promise for s in used.slack] == ["final_soc"]
