from __future__ import annotations

import sys

import numpy as np
import pytest

from controller.energy.workload import Request
from controller.errors import ConfigError
from controller.study.fit.ordinary import fit_ordinary
from controller.study.fit.synthetic_grid import SIZES

GRID = [Request(tin, tout) for tin in SIZES for tout in SIZES]


def test_the_published_form_is_recovered_with_its_tests() -> None:
    """Coefficients published for Llama-2-7B (Wilkins, Keshav and Mortier, HotCarbon 2024, energy)."""
    noise = 100 * np.random.default_rng(3).standard_normal(len(GRID))
    plane = [
        -3.89 * r.input_tokens + 31.52 * r.output_tokens + 4.27e-2 * r.input_tokens * r.output_tokens for r in GRID
    ]
    fit = fit_ordinary(GRID, [value + n for value, n in zip(plane, noise, strict=True)])
    assert fit.values == pytest.approx((-3.89, 31.52, 4.27e-2), rel=0.02)
    assert fit.r2 > 0.999
    assert fit.f > 1e4
    assert fit.f_p_value < 1e-10
    assert max(fit.p_values) < 1e-10
    assert fit.negative == sum(value < 0 for value in plane) > 0
    assert fit.held_out_mape_frac >= fit.mape_frac


def test_r2_is_about_zero_and_not_about_the_mean() -> None:
    rng = np.random.default_rng(3)
    fit = fit_ordinary(GRID, 1000 + rng.standard_normal(len(GRID)))
    assert fit.r2 > 0.3


def test_without_statsmodels_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.api", None)
    with pytest.raises(ConfigError, match=r"pip install 'wattroute\[study\]'"):
        fit_ordinary(GRID, [1.0] * len(GRID))
