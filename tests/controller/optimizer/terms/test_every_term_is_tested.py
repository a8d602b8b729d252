"""A term without a test of its own fails here."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from controller.optimizer import dispatch, milp, terms

HERE = Path(__file__).parent
TERMS = {
    name: [
        member
        for member, function in inspect.getmembers(importlib.import_module(f"{terms.__name__}.{name}"))
        if inspect.isfunction(function) and function.__module__ == f"{terms.__name__}.{name}" and member != "lagged"
    ]
    for _, name, _ in pkgutil.iter_modules(terms.__path__)
}


@pytest.mark.parametrize(("module", "term"), [(module, term) for module, names in TERMS.items() for term in names])
def test_the_term_is_registered_and_tested(module, term):
    test = HERE / f"test_{module}.py"
    assert term in test.read_text(), f"{term} has no test in {test.name}"
    registered = {each.__name__ for each in (*milp.CONSTRAINTS, *milp.COSTS)}
    assert term in registered, f"{term} is in no program"


def test_the_dispatch_uses_only_terms_of_the_plan():
    assert set(dispatch.CONSTRAINTS) <= set(milp.CONSTRAINTS)
    assert set(dispatch.COSTS) <= set(milp.COSTS)
