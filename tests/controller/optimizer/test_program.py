import numpy as np
import pytest
from scipy import sparse

from controller.errors import SolverError, TimedOut
from controller.optimizer.program import Held, Program, Row, Search, solve

SEARCH = Search(time_limit_s=5.0)


def knapsack(least=2.5, **changes):
    """Cheapest whole x, y with x + y >= least; y costs more, x is at most 1."""
    program = {
        "cost": np.array([1.0, 3.0]),
        "matrix": sparse.csr_array(np.array([[1.0, 1.0]])),
        "row_lower": np.array([least]),
        "row_upper": np.array([np.inf]),
        "lower": np.zeros(2),
        "upper": np.array([1.0, np.inf]),
        "whole": np.array([True, True]),
        "columns": {"on": np.array([[0], [1]])},
    }
    return Program(**{**program, **changes})


def test_the_relaxation_costs_no_more_than_the_whole_answer():
    relaxed = solve(knapsack(), SEARCH, whole=False)
    whole = solve(knapsack(), SEARCH, whole=True)
    assert relaxed.objective == pytest.approx(1.0 + 3.0 * 1.5)
    assert whole.x == pytest.approx([1.0, 2.0])
    assert whole.gap_frac == pytest.approx(0.0)


def test_a_row_more_is_obeyed():
    program = knapsack().with_rows([Row(np.array([0, 1]), np.array([1.0, 1.0]), 3.0, step=0)])
    assert solve(program, SEARCH, whole=False).objective == pytest.approx(1.0 + 3.0 * 2)
    assert knapsack().with_rows([]).matrix.shape == (1, 2)


def test_a_relaxation_goes_on_from_the_basis_of_one_with_fewer_rows():
    first = solve(knapsack(), SEARCH, whole=False)
    program = knapsack().with_rows([Row(np.array([1]), np.array([1.0]), 2.0, step=0)])
    again = solve(program, SEARCH, whole=False, basis=first.basis)
    assert again.x == pytest.approx(solve(program, SEARCH, whole=False).x)
    assert again.objective == pytest.approx(0.5 + 3.0 * 2)


def test_a_whole_answer_has_no_basis():
    assert solve(knapsack(), SEARCH, whole=True).basis is None


def test_a_smaller_box_is_obeyed():
    assert solve(knapsack().within(np.array([0.0, 4.0]), np.array([1.0, 9.0])), SEARCH, whole=True).x[1] == 4.0


def test_a_known_answer_may_be_begun_with():
    assert solve(knapsack(), SEARCH, whole=True, start=np.array([0.0, 3.0])).objective == pytest.approx(7.0)


def test_no_answer_is_told_as_such():
    with pytest.raises(SolverError, match="infeasible; the next rung"):
        solve(knapsack(upper=np.array([1.0, 1.0])), SEARCH, whole=True)


def test_no_time_is_told_as_such():
    rng = np.random.default_rng(0)
    items = 400
    hard = Program(
        cost=-rng.uniform(1, 2, items),
        matrix=sparse.csr_array(rng.uniform(1, 2, (60, items))),
        row_lower=np.full(60, -np.inf),
        row_upper=np.full(60, 40.0),
        lower=np.full(items, 0.5),
        upper=np.ones(items),
        whole=np.ones(items, dtype=bool),
        columns={},
    )
    with pytest.raises((TimedOut, SolverError)):
        solve(hard, Search(time_limit_s=1e-3), whole=True)


def test_a_held_program_is_solved_again_in_another_box():
    held = Held(knapsack(), SEARCH)
    assert held.relaxed(5.0).x == pytest.approx([1.0, 1.5])
    held.fix(np.array([1]), np.array([2.0]))
    assert held.relaxed(5.0).x == pytest.approx([0.5, 2.0])
    held.fix(np.array([0, 1]), np.array([0.0, 1.0]))
    with pytest.raises(SolverError, match="infeasible; the next rung"):
        held.relaxed(5.0)


def test_a_held_program_out_of_time_is_told_as_such():
    rng = np.random.default_rng(0)
    wide = knapsack(
        cost=rng.uniform(1, 2, 300),
        matrix=sparse.csr_array(rng.uniform(1, 2, (300, 300))),
        row_lower=rng.uniform(100, 200, 300),
        row_upper=np.full(300, np.inf),
        lower=np.zeros(300),
        upper=np.full(300, 9.0),
        whole=np.zeros(300, dtype=bool),
    )
    with pytest.raises(TimedOut, match="allow more time"):
        Held(wide, SEARCH).relaxed(1e-9)


def test_what_was_fixed_can_be_freed():
    held = Held(knapsack(), SEARCH)
    held.fix(np.array([0, 1]), np.array([0.0, 4.0]))
    assert held.relaxed(5.0).x == pytest.approx([0.0, 4.0])
    held.free(knapsack(), ("on",))
    assert held.relaxed(5.0).x == pytest.approx([1.0, 1.5])


def test_further_inequalities_hold_for_one_answer_only():
    held = Held(knapsack(), SEARCH)
    further = Row(np.array([1]), np.array([1.0]), 2.0, 0)
    assert held.relaxed_under([further], 5.0).x == pytest.approx([0.5, 2.0])
    assert held.relaxed(5.0).x == pytest.approx([1.0, 1.5])
    impossible = Row(np.array([0]), np.array([1.0]), 9.0, 0)
    with pytest.raises(SolverError):
        held.relaxed_under([impossible], 5.0)
    assert held.relaxed(5.0).x == pytest.approx([1.0, 1.5])


@pytest.mark.parametrize("times", [1.0, 1e6, 1e10, 1e14])
def test_costs_of_any_size_are_answered_and_told_as_they_are(times):
    program = knapsack(cost=times * np.array([1.0, 3.0]))
    whole, held = solve(program, SEARCH, whole=True), Held(program, SEARCH).relaxed(5.0)
    assert whole.objective == pytest.approx(times * 7.0)
    assert whole.bound == pytest.approx(times * 7.0)
    assert held.objective == pytest.approx(times * 5.5)
    assert solve(program, SEARCH, whole=False).bound == pytest.approx(times * 5.5)


def test_a_search_ends_as_near_to_the_best_as_asked_whatever_the_size_of_its_costs():
    program = knapsack(cost=1e9 * np.array([1.0, 3.0]))
    worst = solve(program, Search(5.0, abs_gap=1e10), whole=True, start=np.array([0.0, 3.0]))
    assert worst.objective <= worst.bound + 1e10
