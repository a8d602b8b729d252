"""The planner in service: programs compiled once a shape, solved by HiGHS."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.dispatch import compile_dispatch, first_interval, solve_dispatch
from controller.optimizer.greedy import filled, greedy
from controller.optimizer.milp import compile_milp, solve_milp
from controller.optimizer.other_solvers import require
from controller.optimizer.program import Search, solve
from controller.optimizer.solver_name import SolverName
from controller.optimizer.solving import Compiled, SolverOptions, program_of
from controller.optimizer.validate import validate
from controller.optimizer.values import OBJECTIVE_PER_USD, set_values, shape_of
from controller.optimizer.variables import Shape

MAX_COMPILED = 8
"""Shapes kept compiled; a site has one of each kind, a change of the horizon adds some."""


class CvxpyPlanner:
    """A `Planner`; not to be shared between threads, since a compiled program holds the values of one solve.

    Args:
        monotonic_s: clock for the times reported.
        options: how plans are searched.

    Raises:
        ConfigError: the solver is not installed.
    """

    def __init__(self, monotonic_s: Callable[[], float], options: SolverOptions | None = None) -> None:
        self._monotonic_s = monotonic_s
        self._options = options or SolverOptions()
        if self._options.solver is not SolverName.HIGHS:
            require(self._options.solver)
        self._milps: OrderedDict[Shape, Compiled] = OrderedDict()
        self._dispatches: OrderedDict[Shape, Compiled] = OrderedDict()

    def state(self, data: ProblemData) -> None:
        """State the program that fits a problem, so that no plan has to wait for it.

        Raises:
            SolverError: it is not a disciplined parametrized program.
        """
        compiled = _compiled(self._milps, shape_of(data), compile_milp)
        set_values(compiled.parameters, data, compiled.shape)
        program_of(compiled)

    def plan(self, data: ProblemData, *, time_limit_s: float) -> Plan:
        """Instances and token rates over the horizon.

        Where no class may use any pool there is nothing to solve; a plan of one interval says so.

        Raises:
            ProblemError: the problem's numbers are wrong.
            TimedOut: no feasible plan within the time limit.
            SolverError: no usable plan for another reason.
        """
        validate(data)
        if not data.pairs:
            return greedy(data)
        compiled = _compiled(self._milps, shape_of(data), compile_milp)
        return solve_milp(compiled, data, self._options, time_limit_s=time_limit_s, monotonic_s=self._monotonic_s)

    def bound_usd(self, data: ProblemData) -> float:
        """What no plan of the problem can cost less than: the relaxation, in which instances come in fractions.

        Raises:
            SolverError: the relaxation has no answer.
        """
        compiled = _compiled(self._milps, shape_of(data), compile_milp)
        set_values(compiled.parameters, data, compiled.shape)
        relaxed = solve(program_of(compiled), Search(math.inf, threads=self._options.threads), whole=False)
        return relaxed.objective / OBJECTIVE_PER_USD

    def dispatch(self, data: ProblemData, on: tuple[int, ...]) -> Plan:
        """Token rates of the first interval with `on[k]` instances serving.

        Raises:
            SolverError: no usable plan.
        """
        now = first_interval(data, on)
        if not data.pairs:
            return filled(now)
        compiled = _compiled(self._dispatches, shape_of(now), compile_dispatch)
        return solve_dispatch(compiled, now, self._options, monotonic_s=self._monotonic_s)


def _compiled(kept: OrderedDict[Shape, Compiled], shape: Shape, compile_shape: Callable[[Shape], Compiled]) -> Compiled:
    if shape in kept:
        kept.move_to_end(shape)
        return kept[shape]
    kept[shape] = compile_shape(shape)
    if len(kept) > MAX_COMPILED:
        kept.popitem(last=False)
    return kept[shape]
