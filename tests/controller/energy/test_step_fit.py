from __future__ import annotations

import math

import numpy as np
import pytest

from controller.energy.step_fit import Sample, fit_steps, in_steady_state, nonnegative_line


def sample(batch: float, a: float = 0.03, b: float = 0.0002, base_j: float = 80.0, per_seq_j: float = 0.5) -> Sample:
    step_s = a + b * batch
    return Sample(batch, batch / step_s, (base_j + per_seq_j * batch) / step_s, step_s)


def test_exact_lines_are_recovered() -> None:
    fit = fit_steps(tuple(sample(batch) for batch in (8, 16, 64, 256)))
    assert (fit.time.intercept, fit.time.slope) == pytest.approx((0.03, 0.0002))
    assert (fit.energy.intercept, fit.energy.slope) == pytest.approx((80.0, 0.5))
    assert fit.time.r2 == pytest.approx(1.0)
    assert fit.power_held_out_mape_frac == pytest.approx(0.0, abs=1e-9)
    assert fit.energy.at(100) == pytest.approx(130.0)


def test_weights_follow_relative_errors() -> None:
    x, y = np.array([1.0, 2.0, 100.0]), np.array([2.0, 3.0, 110.0])
    intercept, slope = nonnegative_line(x, y, 1 / y)
    assert intercept + slope == pytest.approx(2.0, rel=0.02)
    plain, plain_slope = nonnegative_line(x, y, np.ones_like(y))
    assert plain + plain_slope * 100 == pytest.approx(110.0, rel=0.001)


@pytest.mark.parametrize(
    ("y", "expected"),
    [((1.0, 3.0, 5.0), (0.0, "positive")), ((5.0, 4.0, 3.0), ("positive", 0.0)), ((-1.0, -2.0, -3.0), (0.0, 0.0))],
)
def test_coefficients_are_never_negative(y: tuple[float, ...], expected: tuple[object, object]) -> None:
    got = nonnegative_line(np.array([1.0, 2.0, 3.0]), np.array(y), np.ones(3))
    for value, want in zip(got, expected, strict=True):
        assert value > 0 if want == "positive" else value == want


def test_rows_out_of_steady_state_are_left_out() -> None:
    good = tuple(sample(batch) for batch in (8, 16, 64))
    queued = Sample(4000, 4000 / 0.28, 3200, 0.068)
    broken = Sample(128, math.nan, 3000, 0.05)
    assert not in_steady_state(queued)
    assert not in_steady_state(broken)
    assert fit_steps((*good, queued, broken)).samples == good


def test_held_out_error_exceeds_the_fitted_one_for_noisy_rows() -> None:
    rows = [sample(batch) for batch in (8, 16, 64, 256)]
    bent = Sample(32, 32 / 0.05, 3000, 0.05)
    fit = fit_steps((*rows, bent))
    assert fit.time.held_out_mape_frac > fit.time.mape_frac > 0


@pytest.mark.parametrize("samples", [(), (sample(8), sample(16)), (sample(8), sample(8), sample(8))])
def test_too_few_measurements_are_refused(samples: tuple[Sample, ...]) -> None:
    with pytest.raises(ValueError, match="measurements are usable"):
        fit_steps(samples)
