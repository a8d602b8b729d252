from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.energy.load_power import Load
from controller.energy.steady_sample import Sample
from controller.energy.step_fit import fit_steps
from controller.energy.uncertainty import bootstrap_interval, curves_power_sd_w, power_interval, power_sd_w
from controller.errors import FitRefused
from controller.simulation.profiles import load_profile

BATCHES = (1.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
A, B, P0, E, P, Q = 0.03, 2e-4, 2000.0, 0.3, 2e-5, 0.01


def noisy(rng: np.random.Generator, spread: float = 0.02, *, prompts: bool = False) -> tuple[Sample, ...]:
    made = []
    for number, batch in enumerate(BATCHES):
        per_step = (30.0 if number % 2 else 3.0) * batch if prompts else 0.0
        step_s = (A + B * batch + P * per_step) * (1 + spread * rng.standard_normal())
        power_w = P0 + (E * batch + Q * per_step) / (A + B * batch + P * per_step)
        power_w *= 1 + spread * rng.standard_normal()
        made.append(Sample(batch, batch / step_s, power_w, step_s, per_step / step_s if prompts else None))
    return tuple(made)


@pytest.mark.parametrize("load", [Load(0.0), Load(900.0), Load(3000.0)])
def test_the_interval_holds_the_true_power_as_often_as_it_says(load: Load) -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        found = power_interval(fit_steps(noisy(rng)), load, level=0.9)
        inside += found.low_w <= P0 + E * load.tokens_per_s <= found.high_w
    assert 0.86 <= inside / 400 <= 0.94


def test_each_parameter_moves_power_as_its_slope_says() -> None:
    fit = fit_steps(noisy(np.random.default_rng(5), prompts=True))
    load, known = Load(2500.0, 9000.0), fit.parameters()

    def power(values: np.ndarray) -> float:
        a, b, base_j, per_seq_j, _, prefill_j = values
        return float(
            base_j / a + (per_seq_j - b * base_j / a) * load.tokens_per_s + prefill_j * load.prompt_tokens_per_s
        )

    for number, value in enumerate(known):
        step = np.zeros(6)
        step[number] = 1e-6 * value
        moved = power(np.array(known) + step) - power(np.array(known) - step)
        alone = np.zeros((6, 6))
        alone[number, number] = (2e-6 * value) ** 2
        assert power_sd_w(known, alone, load) == pytest.approx(abs(moved), rel=1e-4, abs=1e-9)


def test_prompts_count_in_power() -> None:
    fit = fit_steps(noisy(np.random.default_rng(5), spread=0.002, prompts=True))
    alone, with_prompts = power_interval(fit, Load(900.0)), power_interval(fit, Load(900.0, 20_000.0))
    for found, true_w in ((alone, P0 + 900 * E), (with_prompts, P0 + 900 * E + 20_000 * Q)):
        assert abs(found.mean_w - true_w) < 4 * found.sd_w < 0.01 * true_w


def test_resampling_agrees_with_the_delta_method() -> None:
    samples = noisy(np.random.default_rng(8))
    delta = power_interval(fit_steps(samples), Load(900.0))
    drawn = bootstrap_interval(samples, Load(900.0), np.random.default_rng(1))
    assert drawn.mean_w == pytest.approx(delta.mean_w, rel=0.02)
    assert 0.4 < drawn.sd_w / delta.sd_w < 1.6
    assert drawn.low_w < drawn.mean_w < drawn.high_w
    assert drawn == bootstrap_interval(samples, Load(900.0), np.random.default_rng(1))


def test_resampling_is_refused_where_draws_cannot_carry_a_fit() -> None:
    samples = noisy(np.random.default_rng(8))[:2] * 2
    with pytest.raises(FitRefused, match="three batches"):
        bootstrap_interval(samples, Load(900.0), np.random.default_rng(1))


def test_curves_carry_the_spread_of_the_fit_they_come_from() -> None:
    fit = fit_steps(noisy(np.random.default_rng(8), prompts=True))
    known = load_profile("llama-3.1-70b/bf16/4xh100")
    assert curves_power_sd_w(known, Load(900.0)) is None
    names = ("step_base_s", "step_per_seq_s", "step_base_j", "step_per_seq_j", "prefill_s_per_token")
    values = dict(zip((*names, "prefill_j_per_token"), fit.parameters(), strict=True))
    curves = dataclasses.replace(known, **values, uncertainty=fit.uncertainty())
    load = Load(900.0, 5000.0)
    assert curves_power_sd_w(curves, load) == pytest.approx(power_interval(fit, load).sd_w)
    assert curves.uncertainty is not None
    assert curves.uncertainty.held_out_mape_frac == fit.power.held_out_mape_frac
