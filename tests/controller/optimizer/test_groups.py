import dataclasses

import numpy as np
import pytest

from controller.optimizer.groups import Covering, groups_of
from controller.optimizer.kept import broken_steps
from controller.optimizer.milp import compile_milp
from controller.optimizer.program import Search, solve
from controller.optimizer.solving import program_of
from controller.optimizer.values import set_values, shape_of
from tests.fakes.problems import STEPS, class_data, pool_data, problem, site_data


def relaxed(data):
    compiled = compile_milp(shape_of(data))
    set_values(compiled.parameters, data, compiled.shape)
    program = program_of(compiled)
    return program, solve(program, Search(5.0), whole=False).x


def two_models():
    """Two models of one class each; the first has a pool at each of two sites."""
    return problem(
        sites=(site_data("a"), site_data("b")),
        pools=(pool_data("m0a"), pool_data("m0b", site=1), pool_data("m1a")),
        classes=(class_data("m0", 1300.0), class_data("m1", 500.0)),
        allowed=((True, True, False), (False, False, True)),
        busy_s_per_token=((1e-3, 1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.3, 0.3),) * 2,
    )


def test_classes_that_share_no_pool_are_apart():
    groups = groups_of(two_models())
    assert [group.classes for group in groups] == [(0,), (1,)]


def test_pools_that_are_alike_to_a_group_are_one_kind():
    assert groups_of(two_models())[0].kinds == ((0, 1),)
    lossy = problem()
    assert groups_of(lossy)[0].kinds == ((0,), (1,))


def test_pools_at_which_a_class_loses_differently_are_two_kinds():
    lossy = dataclasses.replace(two_models(), quality_loss_frac=((0.0, 0.01, 0.0), (0.0, 0.0, 0.0)))
    assert groups_of(lossy)[0].kinds == ((0,), (1,))


def test_a_class_that_no_pool_may_serve_is_in_no_group():
    nowhere = problem(allowed=((False, False),))
    assert groups_of(nowhere) == ()


def test_instances_of_a_kind_are_counted_over_the_sites():
    data = two_models()
    program, x = relaxed(data)
    rows, everywhere = Covering(data).rows(program, x)
    assert everywhere
    first = next(row for row in rows if row.step == 0 and len(row.columns) == 2)
    # 1,300 tokens/s at 900 an instance: two, wherever they are.
    assert sorted(first.columns) == sorted(program.columns["on"][:2, 0])
    assert first.least / first.coefficients[0] == pytest.approx(2.0)


def test_instances_that_serve_late_are_counted_on_top():
    late = problem(
        pools=(pool_data("full", late=(0.5, 0.0, 0.0)), pool_data("lean", late=(0.5, 0.0, 0.0))),
        classes=(class_data("standard", 800.0, quality_budget_frac=(1.0,) * STEPS),),
    )
    program, x = relaxed(late)
    rows, _ = Covering(late).rows(program, x)
    by_step = {row.step: row.least for row in rows if np.all(row.coefficients == 1.0) and len(row.columns) == 2}
    assert by_step[0] > by_step[1]


def test_intervals_that_break_a_promise_are_left_alone():
    data = problem(classes=(class_data("standard", 8000.0),))  # more than all instances can do
    program, x = relaxed(data)
    assert broken_steps(program, x) == {0, 1, 2}
    assert Covering(data).rows(program, x)[0] == []


def test_a_budget_that_no_mix_can_keep_gives_no_inequality():
    strict = class_data("standard", 800.0, quality_budget_frac=(0.0,) * STEPS)
    data = problem(
        pools=(pool_data("a", quality_loss_frac=0.1), pool_data("b", quality_loss_frac=0.2)), classes=(strict,)
    )
    program, x = relaxed(data)
    assert Covering(data).rows(program, np.zeros_like(x))[0] == []


def test_demand_that_may_wait_needs_no_instance_of_its_interval():
    later = class_data("later", 1300.0, defer_steps=1)
    alone = problem(classes=(later,))
    program, x = relaxed(alone)
    assert Covering(alone).rows(program, x)[0] == []
    both = problem(
        classes=(later, class_data("now", 1300.0)),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
    )
    program, x = relaxed(both)
    rows, _ = Covering(both).rows(program, x)
    assert max(row.least / row.coefficients.max() for row in rows) == pytest.approx(2.0)


def test_a_budget_over_the_horizon_does_not_bind_an_interval():
    strict = class_data("standard", 800.0, quality_budget_frac=(0.0,) * STEPS, quality_window=True)
    data = problem(classes=(strict,))
    program, x = relaxed(data)
    rows, _ = Covering(data).rows(program, np.where(x < 0, 0, x))
    # One instance, of whatever kind.
    assert all(len(row.columns) == 2 and np.all(row.coefficients == 1.0) for row in rows)
