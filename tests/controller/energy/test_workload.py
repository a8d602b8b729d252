from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.workload import PUBLISHED, Request, fit_workload, predict, published_columns
from controller.errors import FitRefused

SIZES = [8 * 2**k for k in range(9)]
GRID = [Request(tin, tout) for tin in SIZES for tout in SIZES]


def joules(request: Request) -> float:
    """Without a key-value cache each token computes all before it again."""
    tin, tout = request.input_tokens, request.output_tokens
    return 5 + 3.3 * tout + 0.032 * (tin * tout + tout**2 / 2)


def test_the_terms_of_a_grid_are_recovered() -> None:
    fit = fit_workload(GRID, [joules(r) for r in GRID])
    assert fit.values == pytest.approx((5, 0, 3.3, 0.032, 0.016), abs=1e-6)
    assert predict(fit, Request(100, 50)) == pytest.approx(joules(Request(100, 50)))


@given(st.integers(0, 1000), st.floats(0, 1e5), st.floats(0, 1e5))
def test_no_request_has_a_negative_figure(seed: int, input_tokens: float, output_tokens: float) -> None:
    noise = np.exp(0.3 * np.random.default_rng(seed).standard_normal(len(GRID)))
    fit = fit_workload(GRID, [joules(r) * n for r, n in zip(GRID, noise, strict=True)])
    assert predict(fit, Request(input_tokens, output_tokens)) >= 0


def test_the_published_form_without_a_fixed_part_goes_negative_on_the_same_grid() -> None:
    y = np.array([joules(r) for r in GRID])
    x = published_columns(GRID)
    assert x.shape == (81, len(PUBLISHED))
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    assert (x @ weights < 0).any()
    assert fit_workload(GRID, y.tolist()).errors.held_out_mape_frac < 0.01 < np.mean(np.abs(x @ weights / y - 1))


def test_requests_of_one_shape_are_refused() -> None:
    with pytest.raises(FitRefused, match="apart"):
        fit_workload([Request(n, 2 * n) for n in SIZES], [1.0 + n for n in SIZES])
    with pytest.raises(FitRefused, match="cannot tell 5 terms"):
        fit_workload(GRID[:4], [1.0] * 4)
