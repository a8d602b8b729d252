"""What a tick asks of an optimizer."""

from __future__ import annotations

from typing import Protocol

from controller.model.plan import Plan
from controller.optimizer.data import ProblemData


class Planner(Protocol):
    """Makes plans; the time it reports in `Plan.solve_s` is the only thing that may differ between equal calls."""

    def plan(self, data: ProblemData, *, time_limit_s: float) -> Plan:
        """Instances and token rates over the horizon (mixed-integer program).

        Raises:
            TimedOut: no feasible plan within the time limit.
            SolverError: no usable plan for another reason.
        """

    def dispatch(self, data: ProblemData, on: tuple[int, ...]) -> Plan:
        """Token rates of the first interval with `on[k]` instances serving (linear program).

        Raises:
            SolverError: no usable plan.
        """
