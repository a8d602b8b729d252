from dataclasses import replace

import pytest

from controller.errors import SolverError, TimedOut
from controller.lifecycle.ladder import fast, slow, step_of
from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import least_power_w, retold
from tests.fakes.problems import class_data, pool_data, problem

REAL = CvxpyPlanner(lambda: 0.0)


class Broken:
    """A planner that fails where told, and else works."""

    def __init__(self, *, plan=None, dispatch=None):
        self._plan, self._dispatch = plan, dispatch

    def plan(self, data, *, time_limit_s):
        return _or_raise(self._plan) or REAL.plan(data, time_limit_s=time_limit_s)

    def dispatch(self, data, on):
        return _or_raise(self._dispatch) or REAL.dispatch(data, on)


def _or_raise(outcome):
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def climb(planner, data=None, last=None, serving=(1, 1)):
    return slow(planner, data or problem(), last, time_limit_s=5.0, serving=serving)


@pytest.fixture(scope="module")
def last():
    return REAL.plan(problem(), time_limit_s=5.0)


def test_instances_that_draw_more_than_the_ramp_lets_them_shed_nothing_for_it():
    ramped = problem(ramp_w=100.0, drawn_before_w=1000.0, ramp_usd_per_w=100.0)
    made = fast(REAL, ramped, (1, 1))
    assert made.fallbacks == ()
    assert [slack.promise for slack in made.plan.slack] == ["ramp"]


def test_the_first_rung_is_the_milp():
    made = climb(REAL)
    assert made.plan.origin is PlanOrigin.MILP
    assert made.fallbacks == ()


def test_the_search_is_told_of_the_last_plan(last):
    asked = []

    class Listening(Broken):
        def plan(self, data, *, time_limit_s):
            asked.append(data)
            return super().plan(data, time_limit_s=time_limit_s)

    climb(Listening())
    climb(Listening(), last=last)
    assert asked[0].earlier is None
    assert asked[1].earlier.on == tuple(pool.on for pool in last.pools)


def test_a_late_solver_falls_back_on_the_last_plans_instances(last):
    made = climb(Broken(plan=TimedOut("no plan within 2 s")), last=last)
    assert made.plan.origin is PlanOrigin.DISPATCH
    assert [pool.on[0] for pool in made.plan.pools] == [pool.on[0] for pool in last.pools]
    assert [(f.ladder, f.step, f.reason) for f in made.fallbacks] == [("plan", "dispatch", "no plan within 2 s")]


def test_a_solver_that_breaks_is_left_like_one_that_finds_nothing():
    made = climb(Broken(plan=ZeroDivisionError("division by zero"), dispatch=MemoryError()))
    assert made.plan.origin is PlanOrigin.GREEDY
    assert [f.reason for f in made.fallbacks] == ["milp: ZeroDivisionError: division by zero"]
    assert violations(made.plan, problem()) == ()


def test_without_any_solver_the_last_plan_goes_on(last):
    made = climb(Broken(plan=SolverError("gone"), dispatch=SolverError("gone")), last=last)
    assert made.plan.origin is PlanOrigin.LAST_PLAN
    assert [f.step for f in made.fallbacks] == ["dispatch", "last_plan"]
    assert violations(made.plan, problem()) == ()


def test_without_a_last_plan_the_greedy_one_stands_in():
    made = climb(Broken(plan=SolverError("gone"), dispatch=SolverError("gone")))
    assert made.plan.origin is PlanOrigin.GREEDY
    assert [f.step for f in made.fallbacks] == ["greedy"]


def test_a_plan_that_breaks_the_rules_is_refused(last):
    wrong = REAL.plan(problem(utilisation_frac=0.95, allowed=((False, True),)), time_limit_s=5.0)
    made = climb(Broken(plan=wrong), data=problem(allowed=((True, False),)), last=None)
    assert made.plan.origin is PlanOrigin.GREEDY
    assert "does not allow" in made.fallbacks[0].reason


def test_a_plan_of_other_pools_is_not_gone_on_with(last):
    renamed = problem(pools=(pool_data("other"), pool_data("lean")))
    made = climb(Broken(plan=SolverError("gone")), data=renamed, last=last)
    assert made.plan.origin is PlanOrigin.GREEDY


def test_a_rung_that_would_raise_the_power_during_a_limit_is_refused():
    roomy = REAL.plan(problem(pools=(pool_data("full", min_on=3, max_on=3), pool_data("lean"))), time_limit_s=5.0)
    data = problem(limit_w=(3000.0,) * 3)
    made = climb(Broken(plan=roomy), data=data, serving=(0, 1))
    assert made.plan.power_w[0] <= 3000.5
    assert any("would raise the power of site during a limit" in f.reason for f in made.fallbacks)


def exchanged():
    """A plan that replaces the hungry instance by two frugal ones, and the problem of a limit that it exceeds."""
    data = problem(limit_w=(2000.0,) * 3, classes=(class_data("standard", 100.0),))
    fixed = (pool_data("full", p0_w=2000.0, gpus_per_instance=4, max_on=0), pool_data("lean", min_on=2, max_on=2))
    plan = REAL.plan(replace(data, pools=fixed), time_limit_s=5.0)
    assert [pool.on[0] for pool in plan.pools] == [0, 2]
    return Broken(plan=plan), data


@pytest.mark.parametrize(
    ("doubts_w", "is_refused"),
    [((), False), ((0.0, 0.0), False), ((0.0, 50.0), False), ((0.0, 200.0), True), ((400.0, 0.0), True)],
)
def test_over_a_limit_what_comes_counts_at_its_upper_end_and_what_goes_at_its_lower(doubts_w, is_refused):
    """The exchange saves some 200 W by the curves: less than their doubt may cost nothing of it."""
    planner, data = exchanged()
    made = slow(planner, data, None, time_limit_s=5.0, serving=(1, 0), doubts_w=doubts_w)
    assert (made.plan.origin is PlanOrigin.GREEDY) is is_refused
    assert any("are doubt of the curves" in f.reason for f in made.fallbacks) is is_refused


@pytest.mark.parametrize(("drawn_w", "is_refused"), [((), True), ((0.0,), True), ((4000.0,), False)])
def test_doubt_refuses_no_plan_that_draws_less_at_its_worst_than_is_drawn_now(drawn_w, is_refused):
    """Within a ramp more is drawn than the limit lets the serving instances dispatch."""
    planner, data = exchanged()
    made = slow(planner, data, None, time_limit_s=5.0, serving=(1, 0), doubts_w=(0.0, 200.0), drawn_w=drawn_w)
    assert (made.plan.origin is PlanOrigin.GREEDY) is is_refused


class Searches:
    """A planner that says what it was asked, and takes so long."""

    def __init__(self, solve_s=0.0):
        self._solve_s = solve_s
        self.asked = []

    def plan(self, data, *, time_limit_s):
        self.asked.append((tuple(pool.p0_w for pool in data.pools), time_limit_s))
        return replace(REAL.plan(data, time_limit_s=5.0), solve_s=self._solve_s)

    def dispatch(self, data, on):
        return REAL.dispatch(data, on)


def doubted(planner):
    """A limit that the serving instance exceeds, and a pool that nobody saw yet, whose instances would keep it."""
    pools = (pool_data("full", p0_w=2000.0, gpus_per_instance=4), pool_data("lean", p0_w=700.0))
    data = problem(limit_w=(2600.0,) * 3, pools=pools, classes=(class_data("standard", 1500.0),))
    return data, slow(planner, data, None, time_limit_s=5.0, serving=(1, 0), doubts_w=(0.0, 600.0))


def test_where_doubt_refuses_the_best_plan_the_best_of_the_sure_ones_takes_its_place():
    planner = Searches(solve_s=2.0)
    data, made = doubted(planner)
    assert planner.asked == [((2000.0, 700.0), 5.0), ((2000.0, 1300.0), 3.0)]
    assert [(f.ladder, f.step) for f in made.fallbacks] == [("plan", "surer")]
    assert made.plan.origin is PlanOrigin.MILP
    assert [pool.on[0] for pool in made.plan.pools] == [0, 1]
    assert violations(made.plan, data) == ()


def test_no_second_search_begins_once_the_time_of_one_is_spent():
    planner = Searches(solve_s=5.0)
    _, made = doubted(planner)
    assert len(planner.asked) == 1
    assert made.plan.origin is PlanOrigin.GREEDY
    assert "no time is left for a surer plan" in made.fallbacks[1].reason


def test_within_a_limit_doubt_refuses_nothing():
    both = (pool_data("full", p0_w=2000.0, gpus_per_instance=4, min_on=1), pool_data("lean", min_on=1))
    data = problem(limit_w=(9000.0,) * 3, pools=both)
    made = slow(REAL, data, None, time_limit_s=5.0, serving=(1, 0), doubts_w=(5000.0, 5000.0))
    assert made.fallbacks == ()


def test_where_the_classes_come_first_it_may_raise_it():
    roomy = REAL.plan(problem(pools=(pool_data("full", min_on=3, max_on=3), pool_data("lean"))), time_limit_s=5.0)
    data = problem(limit_w=(3000.0,) * 3)
    told = Broken(plan=retold(data, roomy))
    made = slow(told, data, None, time_limit_s=5.0, serving=(0, 1), limit_first=False)
    assert made.plan.power_w[0] > 3000.5
    assert made.fallbacks == ()


def test_the_plans_interval_of_now_is_the_last_one_after_its_end(last):
    assert [step_of(last, now_s) for now_s in (-5.0, 0.0, 61.0, 179.0, 9999.0)] == [0, 0, 1, 2, 2]


def test_rates_are_dispatched_over_what_serves():
    made = fast(REAL, problem(), (1, 0))
    assert made.plan.origin is PlanOrigin.DISPATCH
    assert made.plan.pools[1].output_tokens_per_s[0][1] == (0.0,)


def test_without_a_solver_they_are_filled_greedily():
    made = fast(Broken(dispatch=TimedOut("late")), problem(), (1, 1))
    assert made.plan.origin is PlanOrigin.GREEDY
    assert violations(made.plan, first_interval(problem(), (1, 1))) == ()
    assert [(f.ladder, f.step) for f in made.fallbacks] == [("dispatch", "greedy")]


def test_tokens_are_not_shed_for_a_limit_that_instances_exceed_which_are_about_to_go():
    made = fast(REAL, problem(limit_w=(2500.0,) * 3), (1, 1), leaves_w=1e4)
    assert {s.promise for s in made.plan.slack} == {"limit"}
    assert made.plan.sites[0].limit_w == (2500.0,)


def test_tokens_are_shed_where_that_keeps_the_limit():
    made = fast(REAL, problem(limit_w=(4500.0,) * 3), (1, 1))
    assert "serve" in {s.promise for s in made.plan.slack}
    assert made.plan.power_w[0] <= 4500.5


def exceeded():
    """Two instances whose idle power alone is over the limit; one class of the two may wait."""
    classes = (class_data("standard", 500.0), class_data("flex", 500.0, may_wait=True, serve_usd_per_token=1e-4))
    rows = {"allowed": ((True, True),) * 2, "busy_s_per_token": ((1e-3, 1e-3),) * 2, "j_per_token": ((0.3, 0.2),) * 2}
    return problem(classes=classes, limit_w=(2000.0,) * 3, limit_usd_per_j=1.0, **rows)


def test_over_a_limit_that_instances_exceed_which_stay_nobody_is_served_however_little_they_exceed_it():
    """Their power without work is below what they count for: serving others would raise it from there."""
    for over_w in (3.0, 500.0):
        data = replace(exceeded(), sites=tuple(replace(s, limit_w=(least_w() - over_w,) * 3) for s in exceeded().sites))
        plan = fast(REAL, data, (1, 1)).plan
        told = {(slack.promise, slack.subject): slack.amount for slack in plan.slack}
        assert told["serve", "standard"] == told["serve", "flex"] == pytest.approx(500.0)
        assert told["limit", "site"] == pytest.approx(over_w, abs=0.1)


def test_nobody_waits_for_what_is_about_to_go_unless_more_than_that_is_over_the_limit():
    data = replace(exceeded(), sites=tuple(replace(s, limit_w=(least_w() - 100.0,) * 3) for s in exceeded().sites))
    held = [
        {slack.subject for slack in fast(REAL, data, (1, 1), leaves_w=leaves_w).plan.slack if slack.promise == "serve"}
        for leaves_w in (101.0, 99.0)
    ]
    assert held == [{"flex"}, {"flex", "standard"}]


def test_without_a_solver_those_who_may_wait_are_held_over_such_a_limit():
    plan = fast(Broken(dispatch=TimedOut("late")), exceeded(), (1, 1)).plan
    assert {slack.subject for slack in plan.slack if slack.promise == "serve"} == {"flex"}


def test_where_classes_outrank_such_a_limit_all_are_served():
    plan = fast(REAL, exceeded(), (1, 1), limit_first=False).plan
    assert {slack.promise for slack in plan.slack} == {"limit"}


def test_over_a_limit_that_instances_about_to_go_exceed_those_who_may_wait_are_held_and_others_served():
    free = fast(REAL, exceeded(), (1, 1), limit_first=False).plan
    made = fast(REAL, exceeded(), (1, 1), leaves_w=1e4)
    told = {(slack.promise, slack.subject): slack.amount for slack in made.plan.slack}
    assert told["serve", "flex"] == pytest.approx(500.0)
    assert ("serve", "standard") not in told
    assert told["limit", "site"] == pytest.approx(made.plan.import_w[0] - 2000.0)
    assert made.plan.import_w[0] < free.import_w[0]
    assert {slack.promise for slack in free.slack} == {"limit"}


def test_over_such_a_limit_tokens_go_where_they_take_least():
    plan = fast(REAL, exceeded(), (1, 1), leaves_w=1e4).plan
    dear, cheap = (pool.output_tokens_per_s[0][1][0] for pool in plan.pools)
    assert cheap == pytest.approx(250.0), "as much as its quality budget carries"
    assert dear == pytest.approx(250.0)


def barely_idle():
    """Two instances whose idle power leaves hardly any room below the limit; one class of the two may wait."""
    return replace(exceeded(), sites=tuple(replace(s, limit_w=(least_w() + 20.0,) * 3) for s in exceeded().sites))


def least_w():
    return least_power_w(first_interval(exceeded(), (1, 1)))[0]


def test_until_the_instances_are_planned_for_a_limit_only_those_who_may_wait_are_held():
    shed = {slack.subject for slack in fast(REAL, barely_idle(), (1, 1)).plan.slack if slack.promise == "serve"}
    assert shed == {"standard", "flex"}, "with these instances the limit leaves room for neither"
    plan = fast(REAL, barely_idle(), (1, 1), until_planned=True).plan
    told = {(slack.promise, slack.subject): slack.amount for slack in plan.slack}
    assert ("serve", "standard") not in told
    assert told["serve", "flex"] == pytest.approx(500.0)
    assert told["limit", "site"] == pytest.approx(plan.import_w[0] - least_w() - 20.0)


def test_until_then_nobody_is_held_where_the_limit_leaves_room_for_all():
    roomy = replace(exceeded(), sites=tuple(replace(s, limit_w=(9000.0,) * 3) for s in exceeded().sites))
    assert fast(REAL, roomy, (1, 1), until_planned=True).plan.slack == ()


def test_a_limit_that_yields_to_the_classes_is_dispatched_as_ever_until_then():
    usual, until_planned = (
        fast(REAL, barely_idle(), (1, 1), limit_first=False, until_planned=until).plan.slack for until in (False, True)
    )
    assert until_planned == usual


def test_no_rung_moves_what_is_held(last):
    held = pool_data("full", is_held=True, min_on=2, max_on=2, on_now=2, sleeping_now=1, may_stop=True)
    data = problem(pools=(held, pool_data("lean")), may_stop=True)
    broken = SolverError("gone")
    planners = (REAL, Broken(plan=broken), Broken(plan=broken, dispatch=broken))
    made = [climb(planner, data, last, serving=(2, 1)).plan for planner in planners]
    assert [plan.origin for plan in made] == [PlanOrigin.MILP, PlanOrigin.DISPATCH, PlanOrigin.LAST_PLAN]
    assert all((set(plan.pools[0].on), set(plan.pools[0].sleeping)) == ({2}, {1}) for plan in made)
