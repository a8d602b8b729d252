import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from controller.optimizer.program import Program, Search, solve
from controller.optimizer.reduction import reduced

SEARCH = Search(time_limit_s=5.0)


def program(rows, row_lower, row_upper, cost=(1.0, 2.0, -1.0)):
    return Program(
        cost=np.array(cost),
        matrix=sparse.csr_array(np.array(rows, dtype=float)),
        row_lower=np.array(row_lower, dtype=float),
        row_upper=np.array(row_upper, dtype=float),
        lower=np.zeros(3),
        upper=np.full(3, 9.0),
        whole=np.array([True, False, False]),
        columns={},
    )


def test_rows_of_one_entry_are_bounds():
    made = reduced(program([[-1, 0, 0], [0, 2, 0], [1, 1, 1]], [-np.inf, 3, -np.inf], [-1.5, 8, 10]))
    assert made.matrix.shape == (1, 3)
    assert made.lower.tolist() == [1.5, 1.5, 0.0]
    assert made.upper.tolist() == [9.0, 4.0, 9.0]


def test_rows_that_cannot_bind_are_left_out():
    made = reduced(program([[1, 1, -1], [1, 1, -1]], [-np.inf, -np.inf], [18, 17]))
    assert made.row_upper.tolist() == [17.0]


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(0, 9), min_size=5, max_size=5),
    st.lists(st.integers(-3, 3), min_size=3, max_size=3),
)
def test_the_answer_stays_the_same(rows, most, cost):
    plain = program(rows, [-np.inf] * len(rows), most[: len(rows)], cost)
    assert solve(reduced(plain), SEARCH, whole=True).objective == pytest.approx(
        solve(plain, SEARCH, whole=True).objective, abs=1e-6
    )
