import numpy as np
import pytest

from controller.errors import SolverError
from controller.optimizer.kept import Promises, broken_steps
from controller.optimizer.program import Search, solve
from tests.fakes.least_cost import stated
from tests.fakes.problems import class_data, problem

SEARCH = Search(5.0)


def relaxed(data):
    program = stated(data)
    return program, solve(program, SEARCH, whole=False).x


def over(tokens_per_s, **changes):
    return problem(classes=(class_data("standard", tokens_per_s, **changes),))


def test_an_answer_that_keeps_all_breaks_no_interval():
    program, x = relaxed(over(800.0))
    assert broken_steps(program, x) == set()
    assert Promises.kept_by(program, x).are_kept(x)


def test_what_another_answer_breaks_is_told():
    program, x = relaxed(over(800.0))
    promises = Promises.kept_by(program, x)
    worse = x.copy()
    worse[program.columns["unserved"][0, 1]] = 5.0
    assert not promises.are_kept(worse)
    assert broken_steps(program, worse) == {1}


def test_what_is_broken_already_is_not_asked_for():
    program, x = relaxed(over(8000.0))
    promises = Promises.kept_by(program, x)
    worse = x.copy()
    worse[program.columns["unserved"]] += 5.0
    assert promises.are_kept(worse)


@pytest.mark.parametrize("name", ["over_spare", "over_busy"])
def test_spare_capacity_is_a_promise_of_its_own(name):
    program, x = relaxed(over(800.0, survives_loss=True))
    worse = x.copy()
    worse[program.columns[name][0, 0]] = 0.5
    assert not Promises.kept_by(program, x).are_kept(worse)


def test_a_bound_program_has_no_answer_that_breaks_them():
    # Two of the lean instances are left, of 900 tokens/s each.
    program, x = relaxed(over(2600.0, quality_budget_frac=(0.02,) * 3))
    promises = Promises.kept_by(program, x)
    on, upper = program.columns["on"], program.upper.copy()
    upper[on[0]], upper[on[1]] = 0.0, 2.0
    few = program.within(program.lower, upper)
    assert not promises.are_kept(solve(few, SEARCH, whole=True).x)
    with pytest.raises(SolverError):
        solve(promises.bound(few), SEARCH, whole=True)
    assert np.array_equal(promises.bound(program).lower, program.lower)
