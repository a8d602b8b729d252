"""States a problem in cvxpy once for its shape, and gives its arrays for every set of values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import cvxpy as cp
import numpy as np
from scipy import sparse

from controller.errors import SolverError
from controller.optimizer.parameters import Parameters
from controller.optimizer.program import Program, Search
from controller.optimizer.solver_name import SolverName
from controller.optimizer.variables import Expression, Shape, Variables

BROKEN_PROMISE_GAP_FRAC = 1e-5
"""The search also ends this close to the best as a share of the objective, which only the prices of broken promises
reach: proving the last watt of a plan that sheds load is not worth the time."""


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """How plans are searched.

    Attributes:
        solver: what searches for whole instances.
        gap_frac: the search ends when the plan is proven this close to the best, as a share of the energy bill; a share
            of the objective would allow any waste where a promise is broken, since the price of that dwarfs the bill.
        threads: of HiGHS; more than one makes equal problems end in unequal ties.
        lp_time_limit_s: longest search of a linear program.
    """

    solver: SolverName = SolverName.HIGHS
    gap_frac: float = 3e-3
    threads: int = 1
    lp_time_limit_s: float = 1.0

    def search(self, bill: float, time_limit_s: float) -> Search:
        """How to search where the energy bill is of that scale, in the objective's unit."""
        return Search(
            time_limit_s, rel_gap_frac=BROKEN_PROMISE_GAP_FRAC, abs_gap=self.gap_frac * bill, threads=self.threads
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A problem stated once for a shape and solved for many values."""

    shape: Shape
    variables: Variables
    parameters: Parameters
    problem: Expression


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


def program_of(compiled: Compiled) -> Program:
    """The arrays of a compiled problem whose parameters are set.

    Raises:
        SolverError: cvxpy could not make them.
    """
    try:
        data, _, _ = compiled.problem.get_problem_data(cp.HIGHS)
    except (cp.error.SolverError, ValueError, ArithmeticError) as error:
        raise SolverError(
            f"the plan could not be stated: {error}; the next rung of the ladder takes its place"
        ) from error
    equal, entries = data["dims"].zero, len(data["c"])
    row_upper = np.asarray(data["b"], dtype=float)
    row_lower = np.where(np.arange(len(row_upper)) < equal, row_upper, -np.inf)
    whole = np.zeros(entries, dtype=bool)
    whole[data["int_vars_idx"]] = True
    return Program(
        cost=np.asarray(data["c"], dtype=float),
        matrix=sparse.csr_array(data["A"]),
        row_lower=row_lower,
        row_upper=row_upper,
        lower=_bound(data["lower_bounds"], entries, -np.inf),
        upper=_bound(data["upper_bounds"], entries, np.inf),
        whole=whole,
        columns=_columns(compiled, data["param_prob"].var_id_to_col),
    )


def _bound(given: np.ndarray | None, entries: int, otherwise: float) -> np.ndarray:
    return np.full(entries, otherwise) if given is None else np.asarray(given, dtype=float)


def _columns(compiled: Compiled, first_of: Mapping[int, int]) -> dict[str, np.ndarray]:
    """Cvxpy stacks arrays by column."""
    out = {}
    for each in fields(compiled.variables):
        variable = getattr(compiled.variables, each.name)
        first = None if variable is None else first_of.get(variable.id)
        if first is not None:
            out[each.name] = first + np.arange(variable.size).reshape(variable.shape, order="F")
    return out
