from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.study.offline_routing.assignment import Problem, assign


def problem(cost: object, amount: object, least: tuple[int, ...], most: tuple[int, ...]) -> Problem:
    names = tuple(f"m{k}" for k in range(len(least)))
    return Problem(np.array(cost, dtype=float), np.array(amount, dtype=np.int64), least, most, names)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Small, with ties, forbidden pairs and bounds that need not be possible."""
    groups, models = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    cell = st.one_of(st.integers(-3, 3).map(float), st.just(float("inf")))
    cost = [[draw(cell) for _ in range(models)] for _ in range(groups)]
    amount = [draw(st.integers(1, 2)) for _ in range(groups)]
    least = tuple(draw(st.integers(0, 2)) for _ in range(models))
    most = tuple(low + draw(st.integers(0, sum(amount))) for low in least)
    return problem(cost, amount, least, most)


def enumerated(p: Problem) -> float | None:
    """Least cost over all assignments, None where none is possible."""
    queries = [g for g, amount in enumerate(p.amount) for _ in range(amount)]
    best = None
    for chosen in product(range(len(p.least)), repeat=len(queries)):
        counts = [chosen.count(k) for k in range(len(p.least))]
        cost = sum(p.cost[g, k] for g, k in zip(queries, chosen, strict=True))
        if np.isfinite(cost) and all(a <= n <= b for a, n, b in zip(p.least, counts, p.most, strict=True)):
            best = cost if best is None else min(best, cost)
    return best


@given(problems())
@settings(max_examples=300)
def test_it_is_the_best_of_all_assignments_and_proves_it(p: Problem) -> None:
    best = enumerated(p)
    if best is None:
        with pytest.raises(ConfigError):
            assign(p)
        return
    found = assign(p)
    assert found.cost == pytest.approx(best)
    assert found.bound == pytest.approx(best)
    assert found.queries.sum(axis=1).tolist() == p.amount.tolist()
    assert all(a <= n <= b for a, n, b in zip(p.least, found.queries.sum(axis=0), p.most, strict=True))


@pytest.mark.parametrize("models", [3, 5])
def test_thousands_of_queries_are_solved_to_the_proven_optimum(models: int) -> None:
    rng = np.random.default_rng(0)
    cost = rng.exponential(size=(20_000, 1)) * rng.random((1, models)) + 0.1 * rng.normal(size=(20_000, models))
    p = problem(cost, np.ones(20_000), (1500,) * models, (9000,) * models)
    found = assign(p)
    assert found.cost == pytest.approx(found.bound, rel=1e-9)


def test_queries_that_are_all_alike_are_split_as_the_bounds_ask() -> None:
    found = assign(problem([[1.0, 2.0, 3.0]], [100], (10, 20, 30), (100, 100, 100)))
    assert found.queries.tolist() == [[50, 20, 30]]


def test_each_query_has_its_own_coefficient() -> None:
    """One coefficient a model would be free to send either query to the second model, which must serve one."""
    found = assign(problem([[1.0, 9.0], [1.0, 2.0]], [1, 1], (0, 1), (2, 2)))
    assert found.queries.tolist() == [[1, 0], [0, 1]]


INF = float("inf")


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (problem(np.empty((0, 2)), [], (0, 0), (1, 1)), "no queries"),
        (problem([[1.0, float("nan")]], [1], (0, 0), (1, 1)), "query group 0 on 'm1' is not a number"),
        (problem([[1.0, 1.0], [INF, INF]], [1, 1], (0, 0), (2, 2)), "query group 1 may be served by no model"),
        (problem([[1.0, 1.0]], [3], (2, 2), (3, 3)), "ask for 4 queries, there are 3"),
        (problem([[1.0, 1.0]], [3], (0, 0), (1, 1)), "allow 2 of 3 queries"),
        (problem([[1.0, INF]], [3], (0, 1), (3, 3)), "'m1' must serve 1 queries and may serve 0"),
        (problem([[1.0, INF], [1.0, 1.0]], [3, 1], (0, 0), (2, 4)), "bounds on 'm0' cannot be kept"),
    ],
)
def test_what_cannot_be_solved_is_told(p: Problem, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        assign(p)
