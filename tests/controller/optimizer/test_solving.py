import cvxpy as cp
import pytest

from controller.errors import SolverError, TimedOut
from controller.optimizer import solving
from controller.optimizer.solving import SolverOptions, compile_problem, solve
from controller.optimizer.variables import Parameters, Shape, Variables

SHAPE = Shape(sites=1, classes=1, steps=1, pairs=((0, 0),), site_of_pool=(0,))
LIMITS = {"bill": 1.0, "time_limit_s": 1.0, "monotonic_s": lambda: 0.0}


def compiled(constraints_of):
    v, p = Variables.of(SHAPE), Parameters.of(SHAPE)
    return compile_problem(SHAPE, v, p, cp.sum(v.on) + cp.sum(v.tokens), constraints_of(v, p))


def test_an_answer_comes_with_its_gap_and_time():
    ticks = iter([10.0, 10.25])
    done = solve(
        compiled(lambda v, p: [v.on >= 1.5]), SolverOptions(), **{**LIMITS, "monotonic_s": lambda: next(ticks)}
    )
    assert done.gap_frac == pytest.approx(0.0)
    assert done.solve_s == pytest.approx(0.25)


def test_a_problem_without_answer_is_told_as_such():
    with pytest.raises(SolverError, match="infeasible"):
        solve(compiled(lambda v, p: [v.on >= 2, v.on <= 1]), SolverOptions(), **LIMITS)


def test_a_product_of_two_parameters_is_refused_when_the_problem_is_stated():
    with pytest.raises(SolverError, match="disciplined"):
        compiled(lambda v, p: [p.utilisation * (p.on_now[0, 0] * v.on) >= 0])


def test_a_search_that_ends_without_answer_has_timed_out(monkeypatch):
    problem = compiled(lambda v, p: [v.on >= 1])
    monkeypatch.setattr(type(problem.problem), "solve", lambda self, **_: None)
    monkeypatch.setattr(type(problem.problem), "status", cp.USER_LIMIT)
    with pytest.raises(TimedOut, match="allow more time"):
        solve(problem, SolverOptions(), **LIMITS)


def test_a_failing_solver_is_mapped_once(monkeypatch):
    problem = compiled(lambda v, p: [v.on >= 1])

    def fail(self, **_):
        raise cp.error.SolverError("no memory")

    monkeypatch.setattr(type(problem.problem), "solve", fail)
    with pytest.raises(SolverError, match="no memory; the next rung"):
        solve(problem, SolverOptions(), **LIMITS)


def test_a_bound_that_was_not_found_is_no_gap(monkeypatch):
    problem = compiled(lambda v, p: [v.on >= 1])
    monkeypatch.setattr(solving, "_gap", lambda _: None)
    assert solve(problem, SolverOptions(), **LIMITS).gap_frac is None
