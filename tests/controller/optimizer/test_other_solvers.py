from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings

from controller.errors import ConfigError, SolverError, TimedOut
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.milp import compile_milp
from controller.optimizer.other_solvers import solve_with
from controller.optimizer.program import Program, Search, solve
from controller.optimizer.solver_name import SolverName
from controller.optimizer.solving import SolverOptions, program_of
from controller.optimizer.values import set_values, shape_of
from tests.fakes.problems import problem
from tests.fakes.random_problems import rich_problems

OTHERS = (SolverName.SCIP, SolverName.SCIPY)


def program(data: ProblemData) -> Program:
    compiled = compile_milp(shape_of(data))
    set_values(compiled.parameters, data, compiled.shape)
    return program_of(compiled)


@settings(max_examples=15, derandomize=True)
@given(rich_problems())
def test_solvers_that_share_no_line_with_ours_find_the_same_optimum(data: ProblemData) -> None:
    stated = program(data)
    ours = solve(stated, Search(20.0), whole=True).objective
    for name in OTHERS:
        found = solve_with(name, stated, Search(20.0))
        assert found.objective == pytest.approx(ours, rel=1e-4, abs=1.0), name
        assert found.bound <= found.objective + max(1.0, 1e-4 * abs(ours))
        whole = found.x[stated.whole]
        assert np.abs(whole - np.rint(whole)).max() < 1e-4


@pytest.mark.parametrize("name", OTHERS)
def test_a_planner_with_another_solver_makes_sound_plans(name: SolverName) -> None:
    data = problem(limit_w=(5000.0, 4000.0, None))
    plan = CvxpyPlanner(lambda: 0.0, SolverOptions(solver=name)).plan(data, time_limit_s=10.0)
    best = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0)).plan(data, time_limit_s=10.0)
    assert violations(plan, data) == ()
    assert plan.cost_usd == pytest.approx(best.cost_usd, rel=3e-3)
    assert plan.gap_frac is not None


@pytest.mark.parametrize("name", OTHERS)
def test_no_time_is_told_as_such(name: SolverName) -> None:
    with pytest.raises(TimedOut, match=f"{name.value} found no plan within 1e-09 s"):
        solve_with(name, program(problem()), Search(1e-9))


@pytest.mark.parametrize("name", OTHERS)
def test_what_has_no_answer_is_told_as_such(name: SolverName) -> None:
    stated = program(problem())
    nothing = stated.within(stated.lower + 1e6, stated.upper)
    with pytest.raises(SolverError, match=f"{name.value} ended as infeasible"):
        solve_with(name, nothing, Search(10.0))


def test_a_solver_that_is_not_there_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cp, "installed_solvers", lambda: ["HIGHS", "SCIPY"])
    with pytest.raises(ConfigError, match=r"plan\.solver: scip is not installed; pip install 'wattroute\[scip\]'"):
        CvxpyPlanner(lambda: 0.0, SolverOptions(solver=SolverName.SCIP))
