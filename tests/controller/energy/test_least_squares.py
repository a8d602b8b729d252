from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.least_squares import Errors, held_out, nonnegative, r2, require_terms_told_apart
from controller.errors import FitRefused

TARGETS = st.lists(st.floats(-10, 10), min_size=5, max_size=5)


@given(TARGETS, st.integers(0, 10_000))
def test_no_nonnegative_change_of_a_coefficient_does_better(target: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    design, y, weights = rng.uniform(0.1, 3.0, (5, 3)), np.array(target), rng.uniform(0.1, 5.0, 5)

    def loss(values: np.ndarray) -> float:
        return float(np.sum((weights * (y - design @ values)) ** 2))

    found = nonnegative(design, y, weights)
    assert found.min() >= 0
    for term in range(3):
        for step in (-1e-3, 1e-3):
            moved = found.copy()
            moved[term] = max(0.0, moved[term] + step)
            assert loss(moved) >= loss(found) - 1e-7


def test_badly_scaled_terms_are_solved_as_well() -> None:
    x = np.array([8.0, 64.0, 512.0, 2048.0])
    design = np.column_stack([np.ones(4), x, x**2, -(x**3)])
    y = design @ np.array([5.0, 3.0, 0.0, 0.0]) * np.array([1.001, 0.999, 1.0, 1.0])
    found = nonnegative(design, y, 1 / y)
    assert found[1] == pytest.approx(3.0, rel=0.01)
    assert np.abs(design @ found / y - 1).max() < 0.01


def test_measurements_of_one_group_are_predicted_without_it() -> None:
    y = np.array([1.0, 1.0, 5.0, 9.0])
    seen: list[list[int]] = []

    def predict(inside: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        seen.append(inside.tolist())
        return np.full(len(wanted), y[inside].mean())

    found = held_out(["a", "a", "b", "c"], predict)
    assert seen == [[2, 3], [0, 1, 3], [0, 1, 2]]
    assert found == pytest.approx([7.0, 7.0, 11 / 3, 7 / 3])
    with pytest.raises(FitRefused, match="of one cell"):
        held_out(["a", "a"], predict)


def test_of_many_groups_some_are_left_out_together() -> None:
    folds: list[np.ndarray] = []

    def predict(inside: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        assert not set(inside) & set(wanted)
        folds.append(wanted)
        return wanted.astype(float)

    assert held_out(range(1050), predict) == pytest.approx(np.arange(1050))
    assert [len(fold) for fold in folds] == [11] * 50 + [10] * 50


def test_errors_are_relative_and_the_variance_explained_may_be_none() -> None:
    y = np.array([1.0, 100.0])
    errors = Errors.of(y, np.array([1.1, 100.0]), np.array([1.2, 90.0]))
    assert (errors.mape_frac, errors.held_out_mape_frac) == (pytest.approx(0.05), pytest.approx(0.15))
    assert r2(y, np.array([100.0, 1.0])) < 0
    assert r2(np.ones(3), np.ones(3)) == 0.0


def test_terms_that_cannot_be_told_apart_are_refused_with_the_remedy() -> None:
    x = np.arange(1.0, 7.0)
    require_terms_told_apart(("fixed", "x"), np.column_stack([np.ones(6), x]))
    with pytest.raises(FitRefused, match=r"do not tell fixed, x, 3x apart.*more than one ratio"):
        require_terms_told_apart(("fixed", "x", "3x"), np.column_stack([np.ones(6), x, 3 * x]))
    with pytest.raises(FitRefused, match="prompts is zero in every measurement"):
        require_terms_told_apart(("x", "prompts"), np.column_stack([x, 0 * x]))
    with pytest.raises(FitRefused, match=r"2 measurements cannot tell 2 terms .*measure at least 3"):
        require_terms_told_apart(("fixed", "x"), np.column_stack([np.ones(2), x[:2]]))
