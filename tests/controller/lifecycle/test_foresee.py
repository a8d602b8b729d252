"""What a plan will not keep is told before it happens."""

from dataclasses import replace

import pytest

from controller.lifecycle.foresee import foresee, shared
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from tests.fakes.problems import at_site, problem

PLANNER = CvxpyPlanner(lambda: 0.0)


def told(limits_w, **changes):
    data = at_site(replace(problem(), **changes), limit_w=limits_w)
    plan = PLANNER.plan(data, time_limit_s=5.0)
    return {(each.promise, each.subject): each for each in foresee(plan, data, [0] * len(data.classes))}, data, plan


def test_a_limit_to_come_that_leaves_too_little_is_told_with_when_and_how_much():
    found, data, plan = told((None, None, 1800.0), limit_usd_per_j=1.0)
    serve = found["serve", "standard"]
    assert serve.begins_s == data.horizon.start_of(2)
    assert serve.amount == pytest.approx(800.0 - sum(pool.output_tokens_per_s[0][1][2] for pool in plan.pools))
    assert serve.amount > 0


def test_where_classes_come_first_it_is_the_limit_that_will_be_broken():
    found, data, _ = told((None, 1800.0, 1800.0), limit_usd_per_j=1e-7)
    assert set(found) == {("limit", "site")}
    assert found["limit", "site"].begins_s == data.horizon.start_of(1)


def test_a_plan_that_keeps_everything_foresees_nothing():
    assert told((None, 9000.0, 9000.0))[0] == {}
    assert told((None,) * 3)[0] == {}


def twice(problem):
    """The problem with a second class like its first."""
    [cls] = problem.classes
    return replace(
        problem,
        classes=(cls, replace(cls, class_id="premium")),
        allowed=problem.allowed * 2,
        busy_s_per_token=problem.busy_s_per_token * 2,
        j_per_token=problem.j_per_token * 2,
        quality_loss_frac=problem.quality_loss_frac * 2,
    )


@pytest.mark.parametrize(
    ("priorities", "waits"),
    [([0, 0], [30.0, 30.0]), ([0, 1], [60.0, 0.0])],
    ids=["equals share", "the higher is spared"],
)
def test_who_has_the_same_priority_waits_too_whatever_the_plan_has_for_it(priorities, waits):
    data = twice(problem())
    found = shared(data, [[60.0, 0.0], [0.0, 0.0]], priorities, data.allowed)
    assert [each[0] for each in found] == pytest.approx(waits)
    assert [each[1] for each in found] == [0.0, 0.0]


def test_who_uses_other_pools_does_not_wait():
    data = twice(problem())
    split = replace(data, allowed=((True, *[False] * (len(data.pools) - 1)), (False, *[True] * (len(data.pools) - 1))))
    assert shared(split, [[60.0], [0.0]], [0, 0], split.allowed) == ((60.0,), (0.0,))


@pytest.mark.parametrize(
    ("priorities", "subjects"),
    [([0, 0], {"standard", "premium"}), ([0, 1], {"standard"})],
    ids=["equals share", "the higher is spared"],
)
def test_where_one_of_two_equals_exceeds_its_quality_budget_it_is_told_of_both(priorities, subjects):
    both = twice(problem(quality_usd_per_token=1e-4))
    strict, lenient = (replace(cls, demand_tokens_per_s=(300.0,) * 3) for cls in both.classes)
    lenient = replace(lenient, quality_budget_frac=(0.02,) * 3)
    data = at_site(replace(both, classes=(strict, lenient)), limit_w=(None, 2600.0, 2600.0))
    found = foresee(PLANNER.plan(data, time_limit_s=5.0), data, priorities)
    assert {each.subject for each in found if each.promise == "quality"} == subjects


def test_who_cannot_lose_quality_is_not_told_to():
    both = twice(problem(quality_usd_per_token=1e-4))
    data = replace(both, classes=tuple(replace(cls, demand_tokens_per_s=(300.0,) * 3) for cls in both.classes))
    data = at_site(replace(data, allowed=((True, True), (True, False))), limit_w=(None, 2600.0, 2600.0))
    found = foresee(PLANNER.plan(data, time_limit_s=5.0), data, [0, 0])
    assert {each.subject for each in found if each.promise == "quality"} == {"standard"}
