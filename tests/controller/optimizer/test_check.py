import ast
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.check import PROMISES, violations
from controller.optimizer.outcome import assemble
from tests.fakes.problems import pool_data, problem, saying

ONE_EACH = ((1, 1, 1), (1, 1, 1))
REST_ASLEEP = ((2, 2, 2), (2, 2, 2))
HALF = (((400.0,) * 3, (400.0,) * 3),)


def made(on=ONE_EACH, sleeping=REST_ASLEEP, rates=HALF, **changes) -> tuple[Plan, object]:
    data = problem(**changes)
    return assemble(data, PlanOrigin.MILP, on, sleeping, rates), data


def only_line(plan, data) -> str:
    lines = violations(plan, data)
    assert len(lines) == 1, lines
    return lines[0]


def test_a_sound_plan_has_none():
    assert violations(*made()) == ()


def test_a_shorter_plan_is_checked_as_far_as_it_goes():
    data = problem()
    plan = assemble(data, PlanOrigin.DISPATCH, ((1,), (1,)), ((2,), (2,)), (((400.0,), (400.0,)),))
    assert violations(plan, data) == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"on": ((2, 2, 2), (1, 1, 1))}, "2 on and 2 asleep of 3", id="more than there are"),
        pytest.param({"gpus": 15}, "GPUs held of 15", id="gpus"),
        pytest.param({"rates": (((0.0,) * 3, (1000.0,) * 3),)}, "instances busy", id="capacity"),
        pytest.param({"allowed": ((True, False),)}, "does not allow", id="precision"),
        pytest.param({"rates": (((500.0,) * 3, (400.0,) * 3),)}, "of 800.000 asked for", id="more than demand"),
    ],
)
def test_what_cannot_be_is_found(changes, says):
    assert any(says in line for line in violations(*made(**changes)))


def test_bounds_locks_and_least_up_times_hold():
    pools = (pool_data("full", max_on=0), pool_data("lean", locked=(2, 2, 2)))
    lines = violations(*made(pools=pools))
    assert any("full[0]: 1 on, outside 0..0" in line for line in lines)
    assert any("lean[0]: 1 on, outside 2..3" in line for line in lines)
    short = (pool_data("full", min_up_steps=2, start_s=0.0), pool_data("lean"))
    bounced = made(
        on=((2, 0, 1), (1, 1, 1)), sleeping=((1, 3, 2), (2, 2, 2)), rates=(((0.0,) * 3, (800.0,) * 3),), pools=short
    )
    assert any("must stay up" in line for line in violations(*bounced))


def test_forbidden_stops_are_found():
    stopped = ((1, 1, 1), (2, 2, 2))
    assert "must not be stopped" in only_line(*made(sleeping=stopped, may_stop=False))
    pools = tuple(replace(pool, may_stop=True) for pool in problem().pools)
    assert violations(*made(sleeping=stopped, may_stop=False, pools=pools)) == ()


def test_engines_that_cannot_sleep_must_not_be_planned_asleep():
    pools = tuple(replace(pool, may_sleep=False, sleeping_now=0) for pool in problem().pools)
    lines = violations(*made(pools=pools))
    assert any("cannot sleep" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "data_changes", "says"),
    [
        pytest.param(lambda plan: saying(plan, power_w=(100.0,) * 3), {}, "the model says", id="power"),
        pytest.param(
            lambda plan: replace(plan, slack=()), {"limit_w": (3000.0,) * 3}, "limit silently exceeded", id="limit"
        ),
    ],
)
def test_what_a_plan_says_must_be_true(change, data_changes, says):
    plan, data = made(**data_changes)
    assert any(says in line for line in violations(change(plan), data))


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        pytest.param((((400.0,) * 3, (100.0,) * 3),), "demand silently unserved by 300 tokens/s", id="serve"),
        pytest.param((((0.0,) * 3, (800.0,) * 3),), "quality budget silently exceeded", id="quality"),
        pytest.param((((800.0,) * 3, (0.0,) * 3),), "headroom silently used", id="headroom"),
    ],
)
def test_a_broken_promise_must_be_told(rates, says):
    changes = {"utilisation_frac": 0.75} if "headroom" in says else {}
    plan, data = made(rates=rates, **changes)
    assert violations(plan, data) == ()
    assert any(says in line for line in violations(replace(plan, slack=()), data))


def test_numbers_must_be_numbers():
    plan, data = made()
    bad = replace(plan.pools[0], output_tokens_per_s=((plan.pools[0].output_tokens_per_s[0][0], (-1.0, 0.0, 0.0)),))
    assert "negative or not finite" in violations(replace(plan, pools=(bad, plan.pools[1])), data)[0]
    assert any("not finite" in line for line in violations(saying(plan, power_w=(float("nan"),) * 3), data))


def test_a_plan_of_another_problem_is_refused_at_once():
    plan, data = made()
    assert "pools are not those" in only_line(replace(plan, pools=plan.pools[::-1]), data)
    assert "intervals" in only_line(replace(plan, horizon=replace(plan.horizon, steps=9)), data)
    assert "power of 1" in only_line(saying(plan, power_w=(1.0,)), data)
    assert "sites are not those" in only_line(saying(plan, site_id="elsewhere"), data)
    ragged = replace(plan.pools[0], on=(1,))
    assert "series of" in only_line(replace(plan, pools=(ragged, plan.pools[1])), data)
    nameless = replace(plan.pools[0], output_tokens_per_s=())
    assert "classes are not those" in only_line(replace(plan, pools=(nameless, plan.pools[1])), data)


def test_the_promises_are_those_that_the_optimiser_tells_of():
    """A promise told under another name would be missing from metrics and would end the check of every plan."""
    told = set()
    for path in (Path(__file__).parents[3] / "controller" / "optimizer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Slack":
                told.add(ast.literal_eval(node.args[0]))
    assert told == set(PROMISES)


@pytest.mark.parametrize(
    ("on", "sleeping", "says"),
    [
        ((0, 0, 0), (2, 2, 2), "outside 1..1"),
        ((1, 1, 1), (1, 1, 1), "1 stops, although instances must not be stopped"),
    ],
)
def test_what_is_held_stays_as_it_is(on, sleeping, says):
    held = pool_data("full", is_held=True, min_on=1, max_on=1, may_stop=True)
    nobody = (((0.0,) * 3, (800.0,) * 3),)
    plan, data = made((on, (1, 1, 1)), (sleeping, (2, 2, 2)), nobody, pools=(held, pool_data("lean")), may_stop=True)
    assert any(says in line for line in violations(plan, data))


def test_nothing_that_is_held_falls_asleep():
    held = pool_data("full", is_held=True, min_on=1, max_on=1, on_now=1, sleeping_now=1)
    plan, data = made(pools=(held, pool_data("lean")))
    assert any("2 asleep, although they are left as they are" in line for line in violations(plan, data))
