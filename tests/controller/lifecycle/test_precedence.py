"""Two limits of different precedence at once: the contract's is kept, the other as far as the classes allow."""

from dataclasses import replace

import pytest

from controller.lifecycle.ladder import Made, fast
from controller.lifecycle.precedence import Asked, answered, binding
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from tests.fakes.problems import problem

PLANNER = CvxpyPlanner(lambda: 0.0)
NOW = first_interval(problem(), (1, 1))
FREE_W = PLANNER.dispatch(NOW, (1, 1)).import_w[0]


def under(limit_w, price):
    [site] = NOW.sites
    return replace(NOW, sites=(replace(site, limit_w=(limit_w,)),), limit_usd_per_j=price)


def answer(soft_w, firm_w):
    soft, firm = under(soft_w, 1e-9), under(firm_w, 1.0)
    return answered(Asked(soft, False), firm, lambda asked: fast(PLANNER, asked.data, (1, 1)))


def test_classes_draw_over_a_limit_that_yields_to_them():
    found = answer(FREE_W - 40.0, FREE_W + 1.0)
    assert found.made.plan.import_w[0] == pytest.approx(FREE_W, abs=1.0)
    assert found.data.sites[0].limit_w == (FREE_W - 40.0,)
    assert [slack.promise for slack in found.made.plan.slack] == ["limit"]


def test_but_never_over_the_one_that_does_not():
    found = answer(FREE_W - 40.0, FREE_W - 20.0)
    assert found.made.plan.import_w[0] <= FREE_W - 20.0 + 0.5
    assert "limit" not in {slack.promise for slack in found.made.plan.slack}
    assert found.data.limit_usd_per_j == 1.0


def test_where_no_limit_yields_there_is_one_answer():
    calls = []

    def make(asked):
        calls.append(asked)
        return Made(PLANNER.dispatch(NOW, (1, 1)), ())

    assert answered(Asked(NOW, True), None, make).data is NOW
    assert len(calls) == 1


def test_in_intervals_without_a_firm_limit_the_others_hold_as_the_plan_kept_them():
    plan = PLANNER.plan(problem(), time_limit_s=5.0)
    drawn = plan.import_w
    [site] = problem().sites
    every = replace(problem(), sites=(replace(site, limit_w=(drawn[0] + 5.0, drawn[1] - 5.0, None)),))
    firm = replace(problem(), sites=(replace(site, limit_w=(drawn[0] - 50.0, None, None)),))
    bound = binding(plan, every, firm)
    assert bound is not None
    assert bound.sites[0].limit_w == (drawn[0] - 50.0, drawn[1], None)
    kept = replace(firm, sites=(replace(site, limit_w=(drawn[0] + 50.0, None, None)),))
    assert binding(plan, every, kept) is None
