from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.errors import FitRefused, ProfileError
from controller.model.perf import FITTED
from controller.profile.design import Cell
from controller.profile.estimate import LEAST_NOISE_FRAC, Estimate, estimate, terms
from tests.fakes.profiles import HIDDEN, row

CELLS = [Cell(n, 64, 128) for n in (1, 8, 20, 60)] + [Cell(n, 2048, 16) for n in (1, 5, 15)]


def fitted(noise: float = 0.0, seed: int = 1) -> Estimate:
    rng = np.random.default_rng(seed)
    rows = [row(cell, error=tuple(rng.normal(0, noise, 2)) if noise else (0, 0)) for cell in CELLS]
    return estimate(rows, [str(cell) for cell in CELLS])


def test_a_measurement_without_noise_gives_the_hidden_parameters() -> None:
    found = fitted()
    for name, value in zip(FITTED, found.steps.parameters(), strict=True):
        assert value == pytest.approx(getattr(HIDDEN, name), rel=1e-6), name
    assert found.noise_time_frac == found.noise_energy_frac == LEAST_NOISE_FRAC
    assert max(map(abs, found.power_errors_frac)) < 1e-6
    found.check()


def test_totals_are_fitted_however_the_batch_varied_within_the_window() -> None:
    halves = [(row(low, steps=300.0), row(high, steps=700.0)) for low, high in zip(CELLS, reversed(CELLS), strict=True)]
    names = ("steps", "decode_tokens", "prompt_tokens", "busy_s", "energy_j")
    rows = [replace(a, **{name: getattr(a, name) + getattr(b, name) for name in names}) for a, b in halves]
    found = estimate(rows, [str(n) for n in range(len(rows))])
    assert found.steps.time.slope == pytest.approx(HIDDEN.step_per_seq_s, rel=1e-6)


def test_noise_is_found_again_in_the_errors() -> None:
    found = fitted(noise=0.02)
    assert 0.005 < found.noise_time_frac < 0.05
    assert len(found.power_errors_frac) == len(CELLS)
    assert max(map(abs, found.power_errors_frac)) > 0.001


def test_terms_are_those_of_a_step() -> None:
    assert terms([row(Cell(8, 64, 128))])[0] == pytest.approx([1.0, 8 * 127 / 128, 4.0])


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(FitRefused, match="4 usable cells"):
        estimate([row(cell) for cell in CELLS[:4]], list("abcd"))


def test_cells_of_one_kind_are_refused() -> None:
    cells = [Cell(n, 64, 128) for n in (1, 2, 4, 8, 16)]
    with pytest.raises(FitRefused):
        estimate([row(cell) for cell in cells], [str(cell) for cell in cells])


def test_a_fit_that_misses_what_it_did_not_see_is_refused() -> None:
    rows = [row(cell, error=(0.0, 0.6 * (-1) ** n)) for n, cell in enumerate(CELLS)]
    with pytest.raises(FitRefused, match=r"held out"):
        estimate(rows, [str(cell) for cell in CELLS]).check()


def test_power_that_does_not_rise_with_the_load_names_the_source_of_power() -> None:
    flat = [replace(one, energy_j=0.001 * one.steps) for one in map(row, CELLS)]
    with pytest.raises((ProfileError, FitRefused)):
        estimate(flat, [str(cell) for cell in CELLS]).check()
