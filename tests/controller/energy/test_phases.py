"""On the physics of the emulated engine, whose coefficients are known; nothing here was measured on a GPU."""

from __future__ import annotations

import dataclasses
from random import Random

import pytest

from controller.energy.phases import PhaseFit, fit_phases
from controller.energy.window import Window
from controller.errors import FitRefused
from controller.model.perf import PoolCurves
from controller.simulation.profiles import load_profile
from tests.fakes.engine_windows import at_random, closed_loop

LENGTHS = ((64, 256), (1024, 64), (2048, 16))


def mixed_windows(curves: PoolCurves, seed: int = 5) -> list[Window]:
    rng = Random(seed)
    busy = [closed_loop(curves, clients, lengths, steps=150, rng=rng) for clients in (1, 4, 24) for lengths in LENGTHS]
    return [*busy, at_random(curves, 0.5, LENGTHS[0], wall_s=120.0, rng=rng)]


def recovered(curves: PoolCurves) -> PhaseFit:
    return fit_phases(mixed_windows(curves), curves.idle_w)


@pytest.mark.parametrize("name", ["llama-3.1-70b/bf16/4xh100", "qwen3-235b-a22b/fp8/4xh100"])
def test_both_phases_of_the_emulated_engine_are_recovered(name: str) -> None:
    curves = load_profile(name)
    fit = recovered(curves)
    assert fit.energy.value("p0_w") == pytest.approx(curves.p0_w, rel=0.01)
    assert fit.energy.value("decode_j_per_token") == pytest.approx(curves.decode_j_per_token, rel=0.05)
    assert fit.energy.value("prefill_j_per_token") == pytest.approx(curves.prefill_j_per_token, rel=0.05)
    assert fit.time is not None
    assert fit.time.value("prefill_s_per_token") == pytest.approx(curves.prefill_s_per_token, rel=0.02)
    assert fit.energy.errors.held_out_mape_frac < 0.01


def test_the_energy_of_a_window_is_that_of_its_phases_and_of_idling() -> None:
    curves = load_profile("llama-3.1-70b/bf16/4xh100")
    fit, window = recovered(curves), at_random(curves, 0.5, (1024, 64), wall_s=60.0, rng=Random(1))
    prefill_j, decode_j = fit.prefill_j(window), fit.decode_j(window)
    assert prefill_j is not None
    assert decode_j is not None
    idle_j = curves.idle_w * (window.wall_s - window.working_s)
    assert prefill_j + decode_j + idle_j == pytest.approx(window.energy_j)
    true_j = (curves.prefill_j_per_token + curves.p0_w * curves.prefill_s_per_token) * window.prompt_tokens
    assert prefill_j == pytest.approx(true_j, rel=0.03)


def test_lower_precision_saves_in_prefill_and_not_in_the_decode_of_a_small_batch() -> None:
    """On as many GPUs, by the built-in curves of Llama-3.1-8B: prefill by arithmetic, decode kept."""
    bf16, fp8 = (recovered(load_profile(f"llama-3.1-8b/{precision}/1xh100")) for precision in ("bf16", "fp8"))
    full, half = bf16.prefill(), fp8.prefill()
    assert full is not None
    assert half is not None
    assert half.j / full.j == pytest.approx(2 / 3, rel=0.05)
    decode, same = bf16.decode(), fp8.decode()
    assert decode is not None
    assert same is not None
    assert same.j / decode.j == pytest.approx(1.0, rel=0.05)


def test_without_steps_the_energy_is_told_apart_and_the_time_is_not() -> None:
    curves = load_profile("llama-3.1-70b/bf16/4xh100")
    fit = fit_phases([dataclasses.replace(w, steps=None) for w in mixed_windows(curves)], curves.idle_w)
    assert fit.energy.value("prefill_j_per_token") == pytest.approx(curves.prefill_j_per_token, rel=0.05)
    assert fit.time is None
    assert fit.prefill() is None
    assert fit.decode_j(mixed_windows(curves)[0]) is None


def test_windows_of_one_kind_of_load_are_refused() -> None:
    curves = load_profile("llama-3.1-70b/bf16/4xh100")
    rng = Random(3)
    same = [closed_loop(curves, 8, (100, 100), steps=2000, rng=rng) for _ in range(2)] * 3
    with pytest.raises(FitRefused, match="rise and fall together"):
        fit_phases(same, curves.idle_w)


def test_a_wrong_idle_power_is_told() -> None:
    curves = load_profile("llama-3.1-70b/bf16/4xh100")
    windows = [at_random(curves, 0.1, (64, 64), wall_s=100.0, rng=Random(seed)) for seed in range(6)]
    with pytest.raises(FitRefused, match=r"less than 900 W while it was idle; measure idle power again"):
        fit_phases(windows, 900.0)
    with pytest.raises(FitRefused, match="did no work"):
        fit_phases([Window(10.0, 100.0, 0.0, 0.0, 0.0, busy_s=0.0)], 10.0)
