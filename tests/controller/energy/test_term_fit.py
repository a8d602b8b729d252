from __future__ import annotations

import numpy as np
import pytest

from controller.energy.term_fit import fit_terms
from controller.errors import FitRefused

X = np.array([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0])


def test_values_and_predictions_of_exact_terms() -> None:
    fit = fit_terms({"fixed": np.ones(7), "x": X}, 3 + 2 * X)
    assert fit.values == pytest.approx((3.0, 2.0))
    assert fit.value("x") == pytest.approx(2.0)
    assert fit.at({"fixed": 1.0, "x": 7.0}) == pytest.approx(17.0)
    assert fit.errors.held_out_mape_frac == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="tuple"):
        fit.value("y")


def test_a_term_that_would_be_negative_is_held_at_zero_and_told() -> None:
    fit = fit_terms({"fixed": np.ones(7), "x": X, "x2": X**2}, 3 + 2 * X - 0.001 * X**2)
    assert fit.held_at_zero == ("x2",)
    assert fit.sd("x2") == 0.0
    assert fit.sd("x") > 0


def test_the_standard_deviations_are_those_of_repeated_measurements() -> None:
    rng = np.random.default_rng(4)
    fits = [
        fit_terms({"fixed": np.ones(7), "x": X}, (3 + 2 * X) * (1 + 0.02 * rng.standard_normal(7))) for _ in range(1500)
    ]
    for name in ("fixed", "x"):
        true = np.std([fit.value(name) for fit in fits])
        assert np.sqrt(np.mean([fit.sd(name) ** 2 for fit in fits])) == pytest.approx(true, rel=0.1)
    assert np.mean([fit.scatter_frac for fit in fits]) == pytest.approx(0.02, rel=0.1)


def test_repeats_of_a_measurement_are_held_out_together() -> None:
    x = np.repeat([1.0, 2.0, 4.0, 8.0], 2)
    y = x + np.array([0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0])
    alone = fit_terms({"x": x}, y).errors.held_out_mape_frac
    together = fit_terms({"x": x}, y, groups=x.tolist()).errors.held_out_mape_frac
    assert together > alone


def test_terms_that_go_together_are_refused() -> None:
    with pytest.raises(FitRefused, match="x, twice apart"):
        fit_terms({"x": X, "twice": 2 * X}, X)
