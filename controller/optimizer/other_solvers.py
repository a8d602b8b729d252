"""Solvers of mixed-integer programs other than HiGHS, through cvxpy: one search for the whole plan, without our own.

They are a second opinion, and for those who have one that they trust. Relaxations and the dispatch stay with HiGHS.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from controller.errors import ConfigError, SolverError, TimedOut
from controller.optimizer.program import Answer, Program, Search
from controller.optimizer.solver_name import SolverName
from controller.optimizer.variables import Expression


@dataclass(frozen=True, slots=True)
class _Way:
    """How a solver is told its limits, and tells what it has proved."""

    options: Callable[[Search], dict[str, Any]]
    bound: Callable[[Any], float]


_WAYS: Mapping[SolverName, _Way] = {
    SolverName.SCIP: _Way(
        lambda search: {
            "scip_params": {
                "limits/time": search.time_limit_s,
                "limits/gap": search.rel_gap_frac,
                "limits/absgap": search.abs_gap,
            }
        },
        lambda stats: float(stats["model"].getDualbound()),
    ),
    SolverName.SCIPY: _Way(
        lambda search: {"scipy_options": {"time_limit": search.time_limit_s, "mip_rel_gap": search.rel_gap_frac}},
        lambda stats: float(stats["mip_dual_bound"]),
    ),
}


def require(name: SolverName) -> None:
    """Refuse a solver that is not installed.

    Raises:
        ConfigError: naming the remedy.
    """
    if name.value.upper() not in cp.installed_solvers():
        raise ConfigError(
            f"plan.solver: {name.value} is not installed; pip install 'wattroute[{name.value}]', or leave it at highs"
        )


def solve_with(name: SolverName, program: Program, search: Search) -> Answer:
    """The best whole answer that a solver finds within the time limit, with its bound.

    Args:
        name: of the solver.
        program: to solve.
        search: its time limit, gaps as far as the solver knows them.

    Raises:
        TimedOut: none was found in time.
        SolverError: there is none, or the solver failed.
    """
    way = _WAYS[name]
    x, problem = _stated(program)
    try:
        with warnings.catch_warnings():
            # An answer that is not proven best is what a time limit asks for.
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            problem.solve(solver=name.value.upper(), **way.options(search))
    except cp.error.SolverError as error:
        raise TimedOut(f"{name.value} found no plan within {search.time_limit_s:g} s: {error}") from error
    if x.value is None:
        raise SolverError(f"{name.value} ended as {problem.status}; the next rung of the ladder takes its place")
    return Answer(np.asarray(x.value), float(problem.value), way.bound(problem.solver_stats.extra_stats))


def _stated(program: Program) -> tuple[Expression, cp.Problem]:
    whole, parts = np.flatnonzero(program.whole), np.flatnonzero(~program.whole)
    order = np.argsort(np.concatenate([whole, parts]))
    x = cp.hstack([cp.Variable(len(whole), integer=True), cp.Variable(len(parts))])[order]
    rows, lower, upper = program.matrix @ x, program.row_lower, program.row_upper
    equal = np.flatnonzero(lower == upper)
    above = np.flatnonzero(np.isfinite(lower) & (lower != upper))
    below = np.flatnonzero(np.isfinite(upper) & (lower != upper))
    least, most = np.flatnonzero(np.isfinite(program.lower)), np.flatnonzero(np.isfinite(program.upper))
    constraints = [
        rows[equal] == upper[equal],
        rows[above] >= lower[above],
        rows[below] <= upper[below],
        x[least] >= program.lower[least],
        x[most] <= program.upper[most],
    ]
    return x, cp.Problem(cp.Minimize(program.cost @ x), constraints)
