from __future__ import annotations

import pytest

from controller.errors import ConfigError
from controller.optimizer.solver_name import SolverName
from controller.settings.plan import PlanSettings
from controller.study.settings import parse


def test_our_search_is_what_a_file_gets_that_names_none() -> None:
    assert PlanSettings().solver is SolverName.HIGHS
    assert parse("solver: scip", PlanSettings, "plan").solver is SolverName.SCIP


def test_an_unknown_solver_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"solver: .*'highs', 'scip' or 'scipy'"):
        parse("solver: gurobi", PlanSettings, "plan")
