"""A term fails here that lacks a word of its docstring, a case that keeps it, one that breaks it, or an instance solved
by hand whose answer it decides."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

from controller.optimizer import dispatch, milp, terms

HERE = Path(__file__).parent
HELPERS = {"lagged"}
TERMS = {
    member: name
    for _, name, _ in pkgutil.iter_modules(terms.__path__)
    for member, function in inspect.getmembers(importlib.import_module(f"{terms.__name__}.{name}"), inspect.isfunction)
    if function.__module__ == f"{terms.__name__}.{name}" and member not in HELPERS
}
CONSTRAINTS = {term.__name__ for term in milp.CONSTRAINTS}
COSTS = {term.__name__ for term in milp.COSTS}
SAID = {
    "an equation": r"<=|>=|==? |Σ",
    "its index sets": r"for all|Σ_",
    "its shapes": r"Shapes?: ",
    "its unit": r"Unit: |\[[^\]]*(W|Wh|GPUs|instances|tokens/s)[^\]]*\]\n|in output tokens/s",
    "its source": r"Source: ",
}


@pytest.mark.parametrize("term", TERMS)
def test_the_term_is_in_the_program(term):
    assert term in CONSTRAINTS | COSTS, f"{term} is in no program"


def test_the_dispatch_uses_only_terms_of_the_plan():
    assert set(dispatch.CONSTRAINTS) <= set(milp.CONSTRAINTS)
    assert set(dispatch.COSTS) <= set(milp.COSTS)


@pytest.mark.parametrize("term", TERMS)
def test_the_terms_docstring_says_all_of_it(term):
    function = getattr(importlib.import_module(f"{terms.__name__}.{TERMS[term]}"), term)
    missing = [what for what, pattern in SAID.items() if not re.search(pattern, function.__doc__)]
    assert missing == [], f"the docstring of {term} lacks {', '.join(missing)}"


def calls(tree, method, term):
    """Calls of a desk's method with a term."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and [arg.id for arg in node.args if isinstance(arg, ast.Name)] == [term]
    ]


def is_zero(node):
    """Whether an expected value is nought, exactly or about."""
    if isinstance(node, ast.Call) and node.args:
        return is_zero(node.args[0])
    return isinstance(node, ast.Constant) and node.value == 0


def expected(tree, method, term):
    """What a method's value for a term is compared with in the asserts of a test module."""
    asked = set(calls(tree, method, term))
    return [
        value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Compare)
        and asked & {node.test.left, *ast.walk(node.test)}
        for value in node.test.comparators
    ]


def asserted(tree, method, term):
    """Whether a test asserts a method of a term outright."""
    asked = set(calls(tree, method, term))
    return any(isinstance(node, ast.Assert) and node.test in asked for node in ast.walk(tree))


@cache
def parsed(module):
    return ast.parse((HERE / f"test_{module}.py").read_text())


@pytest.mark.parametrize("term", sorted(CONSTRAINTS))
def test_a_constraint_is_kept_in_one_case_broken_in_another_and_can_be_set_by_its_parameters(term):
    tree = parsed(TERMS[term])
    kept = [is_zero(value) for value in expected(tree, "violation", term)]
    assert any(kept), f"{term} has no case that keeps it"
    assert not all(kept), f"{term} has no case that breaks it"
    assert asserted(tree, "is_dpp", term), f"{term} is not asked whether it is a disciplined parametrized program"


@pytest.mark.parametrize("term", sorted(COSTS))
def test_a_cost_has_a_value_by_hand_and_can_be_set_by_its_parameters(term):
    tree = parsed(TERMS[term])
    assert any(not is_zero(value) for value in expected(tree, "cost", term)), f"{term} has no case that costs"
    assert asserted(tree, "is_dpp_cost", term), f"{term} is not asked whether it is a disciplined parametrized program"


@cache
def goldens(module):
    """Tests of instances solved by hand, by the terms that decide them."""
    path = HERE / f"test_{module}.py"
    spec = importlib.util.spec_from_file_location(f"golden_{module}", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    found = [test for _, test in inspect.getmembers(loaded, inspect.isfunction) if hasattr(test, "golden")]
    return {term: [test for test in found if term in test.golden] for test in found for term in test.golden}


@pytest.mark.parametrize("term", TERMS)
def test_without_the_term_an_instance_solved_by_hand_has_another_answer(term, monkeypatch):
    tests = goldens(TERMS[term]).get(term, ())
    assert tests, f"{term} decides no instance solved by hand in test_{TERMS[term]}.py"
    for program in (milp, dispatch):
        for group in ("CONSTRAINTS", "COSTS"):
            others = tuple(each for each in getattr(program, group) if each.__name__ != term)
            monkeypatch.setattr(program, group, others)
    for test in tests:
        with pytest.raises(Exception):  # noqa: B017, PT011  any failure shows that the term decides the answer
            test()
