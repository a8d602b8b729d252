"""A mixed-integer program as arrays, and HiGHS to solve it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np
from scipy import sparse

from controller.errors import SolverError, TimedOut
from controller.optimizer.highs_options import opened

FEASIBLE = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kObjectiveBound)
LARGEST_COST = 1e6
"""Of a variable, as HiGHS is told it; it warns of larger ones."""
STOPPED = (highspy.HighsModelStatus.kTimeLimit, highspy.HighsModelStatus.kInterrupt)


@dataclass(frozen=True, slots=True)
class Program:
    """Minimise cost·x subject to row_lower <= matrix·x <= row_upper, lower <= x <= upper, some of x whole.

    Attributes:
        cost, lower, upper: (n,).
        matrix: (m, n), by rows.
        row_lower, row_upper: (m,).
        whole: (n,), which entries of x are integers.
        columns: where a variable's (rows, intervals) array stands in x.
    """

    cost: np.ndarray
    matrix: sparse.csr_array
    row_lower: np.ndarray
    row_upper: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    whole: np.ndarray
    columns: Mapping[str, np.ndarray]

    def within(self, lower: np.ndarray, upper: np.ndarray) -> Program:
        """The same program in a smaller box."""
        return replace(self, lower=lower, upper=upper)

    def with_rows(self, rows: Sequence[Row]) -> Program:
        """The same program with further inequalities."""
        if not rows:
            return self
        starts = np.cumsum([0, *(len(row.columns) for row in rows)])
        more = sparse.csr_array(
            (
                np.concatenate([row.coefficients for row in rows]),
                np.concatenate([row.columns for row in rows]),
                starts,
            ),
            shape=(len(rows), len(self.cost)),
        )
        return replace(
            self,
            matrix=sparse.csr_array(sparse.vstack([self.matrix, more], format="csr")),
            row_lower=np.append(self.row_lower, [row.least for row in rows]),
            row_upper=np.append(self.row_upper, np.full(len(rows), np.inf)),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """coefficients · x[columns] >= least, in interval `step` of the plan."""

    columns: np.ndarray
    coefficients: np.ndarray
    least: float
    step: int


@dataclass(frozen=True, slots=True)
class Search:
    """How HiGHS searches.

    Attributes:
        time_limit_s: longest search.
        rel_gap_frac, abs_gap: the search of a whole answer ends when proven this close to the best, as a share of the
            objective, or in its unit.
        threads: more than one makes equal problems end in unequal ties.
        place: (n,) values near which whole numbers are searched as well, NaN where anywhere; None for nowhere else.
    """

    time_limit_s: float
    rel_gap_frac: float = 0.0
    abs_gap: float = 0.0
    threads: int = 1
    place: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of HiGHS.

    Attributes:
        x: (n,).
        objective: its cost.
        bound: no answer can cost less.
        basis: of a relaxation, from which one with further rows goes on.
    """

    x: np.ndarray
    objective: float
    bound: float
    basis: highspy.HighsBasis | None = None

    @property
    def gap_frac(self) -> float | None:
        """How far the answer may be from the best, as a share of its objective; None where there is no bound."""
        if not np.isfinite(self.bound):
            return None
        return max(0.0, self.objective - self.bound) / max(1e-9, abs(self.objective))


def solve(
    program: Program,
    search: Search,
    *,
    whole: bool,
    start: np.ndarray | None = None,
    basis: highspy.HighsBasis | None = None,
) -> Answer:
    """Solve a program.

    Args:
        program: to solve.
        search: how.
        whole: False for its relaxation, in which nothing need be whole.
        start: a feasible answer to begin with.
        basis: of the relaxation of the same program with fewer rows, the others being last.

    Raises:
        TimedOut: the time limit passed without a feasible answer.
        SolverError: there is none, or HiGHS failed.
    """
    scale = _cost_scale(program)
    highs = _highs(search, scale, int(program.whole.sum()) if whole else 0)
    highs.passModel(_model(program, scale, whole=whole))
    if start is not None:
        known = highspy.HighsSolution()
        known.col_value = start
        highs.setSolution(known)
    if basis is not None:
        highs.setBasis(_extended(basis, len(program.row_lower)))
    highs.run()
    status, info = highs.getModelStatus(), highs.getInfo()
    has_answer = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if status in FEASIBLE or (status in STOPPED and has_answer and whole):
        bound = info.mip_dual_bound if whole and program.whole.any() else info.objective_function_value
        found = np.array(highs.getSolution().col_value)
        return Answer(found, info.objective_function_value / scale, bound / scale, None if whole else highs.getBasis())
    raise _without_answer(highs, status, search.time_limit_s)


def _without_answer(highs: highspy.Highs, status: highspy.HighsModelStatus, time_limit_s: float) -> SolverError:
    if status in STOPPED:
        return TimedOut(f"no plan within {time_limit_s:g} s; allow more time or plan fewer intervals")
    name = highs.modelStatusToString(status).lower()
    return SolverError(f"HiGHS ended as {name}; the next rung of the ladder takes its place")


class Held:
    """A program that HiGHS holds, whose relaxation is solved again in other boxes from the basis of the last answer.

    Args:
        program: to hold.
        search: how to solve it; its time limit is of the first answer.
    """

    def __init__(self, program: Program, search: Search) -> None:
        self._scale = _cost_scale(program)
        self._highs = _highs(search, self._scale)
        self._highs.setOptionValue("presolve", "off")
        self._highs.passModel(_model(program, self._scale, whole=False))

    def relaxed(self, time_limit_s: float) -> Answer:
        """The relaxation's answer in the present box.

        Raises:
            TimedOut: the time limit passed.
            SolverError: there is none, or HiGHS failed.
        """
        highs = self._highs
        highs.setOptionValue("time_limit", highs.getRunTime() + time_limit_s)
        highs.run()
        status = highs.getModelStatus()
        if status not in FEASIBLE:
            raise _without_answer(highs, status, time_limit_s)
        found = np.array(highs.getSolution().col_value)
        objective = highs.getInfo().objective_function_value / self._scale
        return Answer(found, objective, objective, highs.getBasis())

    def fix(self, columns: np.ndarray, values: np.ndarray) -> None:
        """Give some variables their values."""
        where, fixed = columns.ravel().astype(np.int32), values.ravel().astype(float)
        self._highs.changeColsBounds(len(where), where, fixed, fixed)

    def free(self, program: Program, names: Sequence[str]) -> None:
        """Give some variables back the bounds that they have in a program."""
        for name in names:
            where = program.columns[name].ravel().astype(np.int32)
            self._highs.changeColsBounds(len(where), where, program.lower[where], program.upper[where])

    def relaxed_under(self, rows: Sequence[Row], time_limit_s: float) -> Answer:
        """The relaxation's answer under further inequalities, which are dropped afterwards.

        Raises:
            TimedOut: the time limit passed.
            SolverError: there is none, or HiGHS failed.
        """
        highs = self._highs
        first = highs.getNumRow()
        for row in rows:
            highs.addRow(row.least, np.inf, len(row.columns), row.columns.astype(np.int32), row.coefficients)
        try:
            return self.relaxed(time_limit_s)
        finally:
            for index in range(first, highs.getNumRow()):
                highs.changeRowBounds(index, -np.inf, np.inf)


def _extended(basis: highspy.HighsBasis, rows: int) -> highspy.HighsBasis:
    extended = highspy.HighsBasis()
    extended.col_status = basis.col_status
    known = list(basis.row_status)
    extended.row_status = known + [highspy.HighsBasisStatus.kBasic] * (rows - len(known))
    extended.valid = True
    return extended


def _cost_scale(program: Program) -> float:
    """Power of two by which the costs are multiplied, so that none is above `LARGEST_COST`.

    Where promises of very different worth are broken, costs range over ten orders of magnitude, and HiGHS gives up on
    the largest of them ("excessive dual values").
    """
    largest = float(np.abs(program.cost).max(initial=0.0))
    return 2.0 ** -max(0, math.ceil(math.log2(largest / LARGEST_COST))) if largest > 0.0 else 1.0


def _highs(search: Search, scale: float, whole_numbers: int = 0) -> highspy.Highs:
    options: dict[str, bool | int | float] = {
        "threads": search.threads,
        "time_limit": float(search.time_limit_s),
        "mip_rel_gap": search.rel_gap_frac,
        "mip_abs_gap": search.abs_gap * scale,
    }
    return opened(options, whole_numbers)


def _model(program: Program, scale: float, *, whole: bool) -> highspy.HighsLp:
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(program.cost), len(program.row_lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = scale * program.cost, program.lower, program.upper
    model.row_lower_, model.row_upper_ = program.row_lower, program.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = program.matrix.indptr
    model.a_matrix_.index_ = program.matrix.indices
    model.a_matrix_.value_ = program.matrix.data
    if whole and program.whole.any():
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[int(is_whole)] for is_whole in program.whole]
    return model
