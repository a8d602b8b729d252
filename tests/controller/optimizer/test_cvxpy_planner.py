import pytest

from controller.errors import SolverError
from controller.model.plan import Horizon
from controller.optimizer import cvxpy_planner
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from tests.fakes.problems import class_data, pool_data, problem


def of_length(steps: int):
    return problem(
        horizon=Horizon(0.0, 60.0, steps),
        pools=tuple(pool_data(name, locked=(0,) * steps, late=(0.0,) * steps) for name in ("full", "lean")),
        classes=(
            class_data("standard", 0.0, demand_tokens_per_s=(300.0,) * steps, quality_budget_frac=(0.0,) * steps),
        ),
        limit_w=(None,) * steps,
        price_usd_per_mwh=(50.0,) * steps,
        carbon_kg_per_mwh=(400.0,) * steps,
    )


def test_each_shape_is_compiled_once(monkeypatch):
    stated = []

    def counting(shape):
        stated.append(shape)
        return compile_milp(shape)

    compile_milp = cvxpy_planner.compile_milp
    monkeypatch.setattr(cvxpy_planner, "compile_milp", counting)
    planner = CvxpyPlanner(lambda: 0.0)
    for steps in (2, 3, 2, 3):
        planner.plan(of_length(steps), time_limit_s=5.0)
    assert [shape.steps for shape in stated] == [2, 3]


def test_the_class_that_loses_more_at_a_precision_is_served_less_of_it():
    both = problem(
        classes=(class_data("chat", 800.0), class_data("code", 800.0)),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
        quality_loss_frac=((0.0, 0.002), (0.0, 0.05)),
    )
    plan = CvxpyPlanner(lambda: 0.0).plan(both, time_limit_s=5.0)
    lean = dict(plan.pools[1].output_tokens_per_s)
    # With the pool's loss of 0.02 each class could have half of its tokens there; an instance takes 900.
    assert sum(rates[0] for rates in lean.values()) == pytest.approx(900.0)
    assert lean["code"][0] <= 800.0 * 0.01 / 0.05 + 1e-3
    assert violations(plan, both) == ()


def test_compiled_shapes_are_bounded(monkeypatch):
    monkeypatch.setattr(cvxpy_planner, "MAX_COMPILED", 2)
    planner = CvxpyPlanner(lambda: 0.0)
    for steps in (1, 2, 3):
        planner.plan(of_length(steps), time_limit_s=5.0)
    assert [shape.steps for shape in planner._milps] == [2, 3]


def test_the_time_comes_from_the_clock_given():
    now_s = iter(float(n) for n in range(10))
    assert CvxpyPlanner(lambda: next(now_s)).dispatch(of_length(2), (1, 1)).solve_s == 1.0


def test_numbers_the_solver_cannot_take_are_a_solver_error():
    with pytest.raises(SolverError):
        CvxpyPlanner(lambda: 0.0).plan(problem(price_usd_per_mwh=(float("nan"),) * 3), time_limit_s=1.0)


def test_no_plan_costs_less_than_the_bound():
    data = problem(pools=(pool_data("full", stop_usd=0.0), pool_data("lean", stop_usd=0.0)))
    planner = CvxpyPlanner(lambda: 0.0)
    assert 0 < planner.bound_usd(data) <= planner.plan(data, time_limit_s=5.0).cost_usd * (1 + 1e-6)
