import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from controller.optimizer.greedy import fill, filled, greedy, shifted
from tests.fakes.problems import battery_data, class_data, pool_data, problem, steady


def tokens(plan):
    return [pool.output_tokens_per_s[0][1][0] for pool in plan.pools]


def test_it_makes_a_sound_plan_of_one_interval():
    data = problem()
    plan = greedy(data)
    assert plan.origin is PlanOrigin.GREEDY
    assert plan.horizon.steps == 1
    assert violations(plan, data) == ()
    assert plan.slack == ()


def test_it_puts_needless_instances_to_sleep():
    pools = (pool_data("full", on_now=3, sleeping_now=0), pool_data("lean", on_now=3, sleeping_now=0))
    plan = greedy(problem(pools=pools))
    assert sum(pool.on[0] for pool in plan.pools) < 6


def test_engines_that_cannot_sleep_are_stopped_where_they_may_be_and_serve_on_where_not():
    def made(*, may_stop):
        awake = {"on_now": 3, "sleeping_now": 0, "may_sleep": False, "may_stop": may_stop}
        data = problem(pools=(pool_data("full", **awake), pool_data("lean", **awake)), may_stop=False)
        plan = greedy(data)
        assert violations(plan, data) == ()
        assert [pool.sleeping for pool in plan.pools] == [(0,), (0,)]
        return sum(pool.on[0] for pool in plan.pools)

    assert made(may_stop=False) == 6
    assert made(may_stop=True) < 6


def test_it_sheds_for_a_limit_and_tells():
    plan = greedy(problem(classes=(class_data("standard", 1500.0),), limit_w=(2500.0,) * 3))
    assert [pool.on[0] for pool in plan.pools] == [0, 1]
    assert plan.power_w[0] <= 2500.5
    assert "serve" in {s.promise for s in plan.slack}


def test_it_respects_gpus_bounds_and_locks():
    pools = (pool_data("full", locked=(1, 0, 0), sleeping_now=0), pool_data("lean", min_on=1, sleeping_now=0))
    data = problem(pools=pools, gpus=4, classes=(class_data("standard", 5000.0),))
    plan = greedy(data)
    assert [pool.on[0] for pool in plan.pools] == [1, 1]
    assert violations(plan, data) == ()


def test_it_comes_close_to_the_solver():
    data = problem()
    exact = CvxpyPlanner(lambda: 0.0).plan(data, time_limit_s=5.0)
    assert greedy(data).power_w[0] <= exact.power_w[0] * 1.1


def test_the_dearest_class_is_filled_first():
    data = problem(
        classes=(class_data("cheap", 800.0, serve_usd_per_token=1e-4), class_data("dear", 800.0)),
        allowed=((True, False),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
    )
    rates = fill(data, ((1.0, 1.0),))
    assert rates[1][0][0] == pytest.approx(800.0)
    assert rates[0][0][0] == pytest.approx(970.0 - 800.0)


def test_lossy_pools_are_used_as_far_as_the_budget_carries():
    assert tokens(filled(first_interval(problem(), (1, 1)))) == pytest.approx([400.0, 400.0])


def test_beyond_the_budget_they_are_used_before_tokens_are_lost():
    plan = filled(first_interval(problem(), (0, 1)))
    assert tokens(plan) == pytest.approx([0.0, 800.0])
    assert {s.promise for s in plan.slack} == {"quality"}


def test_the_last_plan_goes_on_from_where_it_stands():
    data = problem(limit_w=(None, None, 4000.0))
    last = CvxpyPlanner(lambda: 0.0).plan(data, time_limit_s=5.0)
    later = problem(classes=(class_data("standard", 700.0),))
    plan = shifted(later, last, 1)
    assert plan.origin is PlanOrigin.LAST_PLAN
    assert [pool.on for pool in plan.pools] == [(*p.on[1:], p.on[-1]) for p in last.pools]
    assert sum(tokens(plan)) == pytest.approx(700.0)
    assert violations(plan, later) == ()


def test_instances_that_are_gone_are_left_out_of_it():
    last = CvxpyPlanner(lambda: 0.0).plan(problem(), time_limit_s=5.0)
    gone = pool_data("lean", instances=0, max_on=0, on_now=0, sleeping_now=0, quality_loss_frac=0.02)
    lost = problem(pools=(pool_data("full"), gone))
    assert shifted(lost, last, 0).pools[1].on == (0, 0, 0)


def test_what_waits_is_served_with_what_comes():
    waiting = class_data("batch", 500.0, defer_steps=2, backlog_tokens_per_s=(100.0, 50.0))
    plan = greedy(problem(classes=(waiting,)))
    assert sum(tokens(plan)) == pytest.approx(650.0)
    assert plan.slack == ()


def test_a_battery_keeps_the_limit_before_anybody_yields():
    limited = steady(battery=battery_data(soc_wh=1000.0), limit_w=(1300.0,) * 3)
    plan = greedy(limited)
    assert plan.sites[0].import_w == pytest.approx((1300.0,))
    assert violations(plan, limited) == ()


def test_who_finds_no_room_waits_as_long_as_it_may():
    batch = class_data("batch", 0.0, demand_tokens_per_s=(1500.0, 0.0, 0.0), defer_steps=1)
    rates = fill(steady(classes=(batch,), peak_frac=0.9), ((1.0,), (1.0,), (1.0,)))
    assert rates[0][0] == pytest.approx((900.0, 600.0, 0.0))


HELD = {"is_held": True, "min_on": 2, "max_on": 2, "on_now": 2, "sleeping_now": 1}


def test_what_is_held_stays_as_it_is_and_keeps_its_gpus():
    data = problem(pools=(pool_data("full", **HELD), pool_data("lean")), gpus=8, may_stop=True)
    plan = greedy(data)
    assert violations(plan, data) == ()
    assert (plan.pools[0].on, plan.pools[0].sleeping) == ((2,), (1,))
    assert plan.pools[1].on[0] + plan.pools[1].sleeping[0] <= 1


def test_a_last_plan_gives_way_to_what_is_held():
    last = CvxpyPlanner(lambda: 0.0).plan(problem(), time_limit_s=5.0)
    data = problem(pools=(pool_data("full", **HELD), pool_data("lean")))
    plan = shifted(data, last, 0)
    assert (plan.pools[0].on, plan.pools[0].sleeping) == ((2,) * 3, (1,) * 3)
