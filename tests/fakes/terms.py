"""Variables with values set by hand, to ask a term whether it is satisfied; plans of small instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

import cvxpy as cp
import numpy as np

from controller.model.plan import Plan
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.parameters import Parameters
from controller.optimizer.solving import SolverOptions
from controller.optimizer.values import set_values, shape_of
from controller.optimizer.variables import Expression, Shape, Variables

Term = Callable[[Variables, Parameters, Shape], list[Expression]]
Cost = Callable[[Variables, Parameters, Shape], Expression]


class Desk:
    """Variables all zero but for what is put in; parameters of a problem."""

    def __init__(self, data: ProblemData, **values: object) -> None:
        self.shape = shape_of(data)
        self.v = Variables.of(self.shape)
        self.p = Parameters.of(self.shape)
        set_values(self.p, data, self.shape)
        for each in fields(self.v):
            variable = getattr(self.v, each.name)
            if variable is None:
                continue
            given = values.get(each.name, 0.0)
            variable.value = np.broadcast_to(np.asarray(given, dtype=float), variable.shape).copy()

    def violation(self, term: Term) -> float:
        """Largest amount by which the values break the term; 0 when they keep it."""
        return max((float(np.max(c.violation())) for c in term(self.v, self.p, self.shape)), default=0.0)

    def cost(self, cost: Cost) -> float:
        """Value of a cost."""
        return float(cost(self.v, self.p, self.shape).value)

    def is_dpp(self, term: Term) -> bool:
        """Whether the term can be solved again by parameter values alone."""
        return cp.Problem(cp.Minimize(0), term(self.v, self.p, self.shape)).is_dcp(dpp=True)

    def is_dpp_cost(self, cost: Cost) -> bool:
        """The same for a cost."""
        return cp.Problem(cp.Minimize(cost(self.v, self.p, self.shape))).is_dcp(dpp=True)


Test = TypeVar("Test", bound=Callable[..., None])


def golden(*terms: Term | Cost) -> Callable[[Test], Test]:
    """Marks a test that solves a small instance, known by hand or by enumeration, whose answer these terms decide."""

    def mark(test: Test) -> Test:
        test.golden = tuple(term.__name__ for term in terms)  # type: ignore[attr-defined]
        return test

    return mark


def planned(data: ProblemData) -> Plan:
    """The best plan, sound by its own account.

    Raises:
        AssertionError: it breaks a rule of the problem.
    """
    plan = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0)).plan(data, time_limit_s=20.0)
    broken = violations(plan, data)
    if broken:
        raise AssertionError(broken)
    return plan
