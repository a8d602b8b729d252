import cvxpy as cp
import numpy as np
import pytest

from controller.errors import SolverError
from controller.optimizer.parameters import Parameters
from controller.optimizer.program import Search, solve
from controller.optimizer.solving import SolverOptions, compile_problem, program_of
from controller.optimizer.variables import Shape, Variables

SHAPE = Shape(sites=1, classes=1, steps=2, pairs=((0, 0), (0, 1)), site_of_pool=(0, 0))


def compiled(constraints_of, **costs):
    v, p = Variables.of(SHAPE), Parameters.of(SHAPE)
    return compile_problem(SHAPE, v, p, cp.sum(v.on) + 0.1 * cp.sum(v.tokens), constraints_of(v, p))


def test_the_arrays_say_what_the_problem_says():
    program = program_of(compiled(lambda v, p: [v.on >= 1.5, v.tokens[1, 0] == 7.0, v.on[0, 1] <= 5.0]))
    x = solve(program, Search(1.0), whole=True).x
    assert x[program.columns["on"]] == pytest.approx(np.full((2, 2), 2.0))
    assert x[program.columns["tokens"]] == pytest.approx(np.array([[0.0, 0.0], [7.0, 0.0]]))


def test_other_values_need_no_new_statement():
    made = compiled(lambda v, p: [v.on >= p.min_on])
    answers = []
    for least in (1.0, 3.0):
        made.parameters.min_on.value = np.full((2, 2), least)
        answers.append(solve(program_of(made), Search(1.0), whole=True).objective)
    assert answers == pytest.approx([4.0, 12.0])


def test_instances_are_whole_and_rates_are_not():
    program = program_of(compiled(lambda v, p: [v.on + v.sleeping >= 1, v.tokens >= 0.5]))
    assert program.whole[program.columns["on"]].all()
    assert program.whole[program.columns["sleeping"]].all()
    assert not program.whole[program.columns["tokens"]].any()


def test_a_product_of_two_parameters_is_refused_when_the_problem_is_stated():
    with pytest.raises(SolverError, match="disciplined"):
        compiled(lambda v, p: [p.utilisation * (p.on_now[0, 0] * v.on) >= 0])


def test_what_cvxpy_cannot_state_goes_to_the_next_rung(monkeypatch):
    made = compiled(lambda v, p: [v.on >= 1])

    def fail(self, *_):
        raise ValueError("no memory")

    monkeypatch.setattr(type(made.problem), "get_problem_data", fail)
    with pytest.raises(SolverError, match="could not be stated: no memory; the next rung"):
        program_of(made)


def test_the_gap_is_a_share_of_the_energy_bill():
    search = SolverOptions(gap_frac=0.01, threads=2).search(bill=500.0, time_limit_s=3.0)
    assert (search.abs_gap, search.threads, search.time_limit_s) == (5.0, 2, 3.0)
