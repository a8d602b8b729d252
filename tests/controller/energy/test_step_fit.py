from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.steady_sample import Sample, in_steady_state
from controller.energy.step_fit import fit_steps, nonnegative_line
from controller.errors import FitRefused


def sample(batch: float, a: float = 0.03, b: float = 0.0002, base_j: float = 80.0, per_seq_j: float = 0.6) -> Sample:
    step_s = a + b * batch
    return Sample(batch, batch / step_s, (base_j + per_seq_j * batch) / step_s, step_s)


def test_exact_lines_are_recovered() -> None:
    fit = fit_steps(tuple(sample(batch) for batch in (8, 16, 64, 256)))
    assert (fit.time.intercept, fit.time.slope) == pytest.approx((0.03, 0.0002))
    assert (fit.energy.intercept, fit.energy.slope) == pytest.approx((80.0, 0.6))
    assert fit.time.r2 == pytest.approx(1.0)
    assert fit.power.held_out_mape_frac == pytest.approx(0.0, abs=1e-9)
    assert fit.energy.at(100) == pytest.approx(140.0)


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


def with_prompts(batch: float, prompt_tokens: float, q: float = 0.01) -> Sample:
    step_s = 0.03 + 0.0002 * batch + 2e-5 * prompt_tokens
    step_j = 2000 * step_s + 0.3 * batch + q * prompt_tokens
    return Sample(batch, batch / step_s, step_j / step_s, 0.03 + 0.0002 * batch, prompt_tokens / step_s)


def test_the_cost_of_a_prompt_token_is_recovered_beside_both_lines() -> None:
    cells = [(8, 0), (8, 500), (64, 200), (64, 4000), (256, 1000)]
    fit = fit_steps(tuple(with_prompts(*cell) for cell in cells))
    assert fit.p0_w == pytest.approx(2000)
    assert fit.decode_j_per_token == pytest.approx(0.3)
    assert (fit.prefill_s_per_token, fit.prefill_j_per_token) == (pytest.approx(2e-5), pytest.approx(0.01))
    assert fit.power_w_at(1000, 5000) == pytest.approx(2000 + 300 + 50)
    assert fit.tokens_per_s_at(64, 200) == pytest.approx(64 / (0.03 + 0.0002 * 64 + 2e-5 * 200))
    assert fit.parameters() == pytest.approx((0.03, 0.0002, 60.0, 0.7, 2e-5, 0.01))
    assert fit.batches == (8, 256)
    assert fit.max_tokens_per_s == pytest.approx(5000)


def test_one_ratio_of_prompt_to_answer_is_refused_with_the_remedy() -> None:
    with pytest.raises(FitRefused, match=r"prompt tokens apart.*more than one ratio"):
        fit_steps(tuple(with_prompts(batch, 3 * batch) for batch in (8, 16, 64, 256)))
    mixed = (*(with_prompts(batch, batch) for batch in (8, 16, 64)), sample(32))
    with pytest.raises(FitRefused, match="counted in 3 of 4 measurements"):
        fit_steps(mixed)


def test_without_prompts_their_cost_is_unknown_and_not_zero() -> None:
    fit = fit_steps(tuple(sample(batch) for batch in (8, 16, 64, 256)))
    assert fit.prefill_s_per_token is None
    assert fit.prefill_j_per_token is None
    assert fit.uncertainty().sd("prefill_j_per_token") == 0.0


def test_power_that_falls_with_load_gets_no_negative_marginal_energy() -> None:
    falling = tuple(sample(batch, per_seq_j=0.5) for batch in (8, 16, 64, 256, 1024))
    assert falling[0].power_w > falling[-1].power_w
    fit = fit_steps(falling)
    assert fit.held_at_zero == ("decode_j_per_token",)
    assert fit.decode_j_per_token == pytest.approx(0.0, abs=1e-12)
    assert falling[-1].power_w < fit.p0_w < falling[0].power_w
    assert fit.energy.intercept / fit.time.intercept == fit.p0_w


def test_a_step_time_without_a_fixed_part_is_refused() -> None:
    flat = tuple(Sample(batch, 100.0, 500.0, batch / 100.0) for batch in (8.0, 16.0, 64.0))
    with pytest.raises(FitRefused, match="measure at smaller batches"):
        fit_steps(flat)


@given(
    st.lists(
        st.tuples(st.floats(1, 512), st.floats(1e-3, 0.2), st.floats(50, 8000)),
        min_size=4,
        max_size=12,
        unique_by=lambda r: r[0],
    ),
    st.floats(0, 1),
)
def test_no_figure_is_negative_anywhere_in_range(rows: list[tuple[float, float, float]], share: float) -> None:
    samples = tuple(Sample(batch, batch / step_s, power_w, step_s) for batch, step_s, power_w in rows)
    try:
        fit = fit_steps(samples)
    except FitRefused:
        return
    low, high = fit.batches
    batch = low + share * (high - low)
    assert min(fit.p0_w, fit.decode_j_per_token, fit.time.at(batch), fit.energy.at(batch)) >= 0
    rate = fit.tokens_per_s_at(batch)
    assert fit.power_w_at(rate) >= fit.power_w_at(0.0) - 1e-9
    assert fit.power_w_at(rate) == pytest.approx(fit.energy.at(batch) / fit.time.at(batch), rel=1e-6, abs=1e-9)


def test_repeats_of_a_cell_are_held_out_together() -> None:
    cells = [(8, 1.0), (16, 1.2), (64, 1.0), (256, 1.0)]
    made = [
        Sample(batch, batch / (step_s := (0.03 + 0.0002 * batch) * slow), 2500.0, step_s, cell=f"b{batch}")
        for batch, slow in cells
        for _ in range(3)
    ]
    told = fit_steps(tuple(made)).throughput.held_out_mape_frac
    loose = fit_steps(tuple(dataclasses.replace(s, cell=None) for s in made)).throughput.held_out_mape_frac
    assert told > loose
