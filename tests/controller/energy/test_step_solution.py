from __future__ import annotations

import numpy as np
import pytest

from controller.energy.step_solution import covariance, solve
from controller.model.perf import FITTED

BATCH = np.array([1.0, 4.0, 8.0, 16.0, 32.0, 64.0, 96.0, 128.0, 8.0, 64.0])
PROMPTS = np.array([0.0, 50.0, 400.0, 0.0, 900.0, 100.0, 0.0, 800.0, 0.0, 1500.0])
TIME = np.array([0.02, 2e-4, 1e-5])
SLOPES = np.array([1000.0, 0.1, 0.004])


def design(terms: int) -> np.ndarray:
    return np.column_stack([np.ones_like(BATCH), BATCH, PROMPTS])[:, :terms]


def energy(terms: int, slopes: np.ndarray = SLOPES) -> np.ndarray:
    found = slopes[0] * TIME[:terms]
    found[1:] += slopes[1:terms]
    return found


@pytest.mark.parametrize("terms", [2, 3])
def test_exact_coefficients_are_recovered(terms: int) -> None:
    x = design(terms)
    found = solve(x, x @ TIME[:terms], x @ energy(terms))
    assert found.step_s == pytest.approx(TIME[:terms])
    assert found.slopes() == pytest.approx(SLOPES[:terms])
    assert found.held_at_zero == ()


def test_marginal_energies_are_held_at_zero_where_their_ratio_would_be_negative() -> None:
    falling = np.array([1000.0, -0.05, -0.002])
    x = design(3)
    step_j = x @ energy(3, falling)
    assert step_j.min() > 0
    assert energy(3, falling).min() > 0
    found = solve(x, x @ TIME, step_j)
    assert found.held_at_zero == ("decode_j_per_token", "prefill_j_per_token")
    assert found.slopes()[1:] == pytest.approx([0.0, 0.0])
    assert found.step_j == pytest.approx(found.slopes()[0] * found.step_s)
    assert np.abs((x @ found.step_j) / step_j - 1).max() < 0.3


@pytest.mark.parametrize("correlation", [0.0, 0.95])
@pytest.mark.parametrize("terms", [2, 3])
def test_the_covariance_is_that_of_repeated_measurements(terms: int, correlation: float) -> None:
    rng = np.random.default_rng(11)
    x, told, found = design(terms), [], []
    spread = 0.01**2 * np.array([[1.0, correlation], [correlation, 1.0]])
    for _ in range(1500):
        errors = rng.multivariate_normal([0.0, 0.0], spread, len(BATCH))
        step_s, step_j = (x @ TIME[:terms]) * (1 + errors[:, 0]), (x @ energy(terms)) * (1 + errors[:, 1])
        solution = solve(x, step_s, step_j)
        slopes = solution.slopes()
        prefill = (solution.step_s[2], slopes[2]) if terms == 3 else (0.0, 0.0)
        found.append([*solution.step_s[:2], *solution.step_j[:2], *prefill])
        told.append(covariance(solution, x, step_s, step_j))
    true, mean = np.cov(np.array(found).T), np.mean(told, axis=0)
    assert np.sqrt(np.diag(mean)) == pytest.approx(np.sqrt(np.diag(true)), rel=0.1)
    sd = np.sqrt(np.diag(true))
    used = sd > 0
    bound = np.outer(sd, sd)[np.ix_(used, used)]
    assert np.abs((mean - true)[np.ix_(used, used)] / bound).max() < 0.12
    assert mean[FITTED.index("prefill_j_per_token")].any() == (terms == 3)


def test_what_is_held_at_zero_has_no_variance_of_its_own() -> None:
    x = design(2)
    rng = np.random.default_rng(2)
    step_s = x @ TIME[:2] * (1 + 0.01 * rng.standard_normal(len(BATCH)))
    step_j = x @ energy(2, np.array([1000.0, -0.05, 0.0]))
    found = solve(x, step_s, step_j)
    assert found.held_at_zero == ("decode_j_per_token",)
    told = np.array(covariance(found, x, step_s, step_j))
    a, b = found.step_s
    # e = C − b·A/a, by its gradient in (a, b, A, C).
    p0 = found.step_j[0] / a
    gradient = np.array([b * p0 / a, -p0, -b / a, 1.0, 0.0, 0.0])
    assert gradient @ told @ gradient == pytest.approx(0.0, abs=1e-9 * told[3, 3])
