"""Runs HiGHS on a compiled problem and maps what it answers, once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import cvxpy as cp

from controller.errors import SolverError, TimedOut
from controller.optimizer.variables import Expression, Parameters, Shape, Variables

BROKEN_PROMISE_GAP_FRAC = 1e-5
"""The search also ends this close to the best as a share of the objective, which only the prices of broken promises
reach: proving the last watt of a plan that sheds load is not worth the time."""


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """How HiGHS searches.

    Attributes:
        gap_frac: the search ends when the plan is proven this close to the best, as a share of the energy bill; a share
            of the objective would allow any waste where a promise is broken, since the price of that dwarfs the bill.
        threads: of HiGHS; more than one makes equal problems end in unequal ties.
        lp_time_limit_s: longest search of a linear program.
    """

    gap_frac: float = 3e-3
    threads: int = 1
    lp_time_limit_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Compiled:
    """A problem stated once for a shape and solved for many values."""

    shape: Shape
    variables: Variables
    parameters: Parameters
    problem: Expression


@dataclass(frozen=True, slots=True)
class Solved:
    """How a search ended: proven gap, None without a bound, and its time."""

    gap_frac: float | None
    solve_s: float


def compile_problem(
    shape: Shape, variables: Variables, parameters: Parameters, objective: Expression, constraints: list[Expression]
) -> Compiled:
    """State a problem.

    Raises:
        SolverError: it is not a disciplined parametrized program, so that each solve would state it anew.
    """
    problem = cp.Problem(cp.Minimize(objective), constraints)
    if not problem.is_dcp(dpp=True):
        raise SolverError("the problem is not a disciplined parametrized program; a term multiplies two parameters")
    return Compiled(shape, variables, parameters, problem)


def solve(
    compiled: Compiled,
    options: SolverOptions,
    *,
    bill: float,
    time_limit_s: float,
    monotonic_s: Callable[[], float],
) -> Solved:
    """Search for the best values of the variables; they hold them afterwards.

    Args:
        compiled: the problem, its parameters set.
        options: how to search.
        bill: scale of the energy bill, in the objective's unit.
        time_limit_s: longest search.
        monotonic_s: clock for the time reported.

    Raises:
        TimedOut: the time limit passed without a feasible answer.
        SolverError: there is no answer for another reason.
    """
    problem = compiled.problem
    began_s = monotonic_s()
    try:
        with warnings.catch_warnings():
            # An answer within the time limit but without proof is announced by a warning; the status tells it too.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(
                solver=cp.HIGHS,
                warm_start=False,
                time_limit=float(time_limit_s),
                mip_rel_gap=BROKEN_PROMISE_GAP_FRAC,
                mip_abs_gap=options.gap_frac * bill,
                threads=options.threads,
                random_seed=0,
            )
    except (cp.error.SolverError, ValueError, ArithmeticError) as error:
        raise SolverError(f"HiGHS failed: {error}; the next rung of the ladder takes its place") from error
    took_s = monotonic_s() - began_s
    status = problem.status
    if status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return Solved(_gap(problem), took_s)
    if status == cp.USER_LIMIT:
        if compiled.variables.tokens.value is None or _gap(problem) is None:
            raise TimedOut(f"no plan within {time_limit_s} s; allow more time or plan fewer intervals")
        return Solved(_gap(problem), took_s)
    raise SolverError(f"HiGHS ended as {status}; the next rung of the ladder takes its place")


def _gap(problem: Expression) -> float | None:
    if not problem.is_mixed_integer():
        return 0.0
    gap = getattr(problem.solver_stats.extra_stats, "mip_gap", None)
    return float(gap) if gap is not None and 0.0 <= gap < 1e6 else None
