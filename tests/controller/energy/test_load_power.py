from __future__ import annotations

import dataclasses
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.energy.load_power import Arrivals, Load, busy_frac, power_w, require_states_in_order, rest_power
from controller.energy.window import Window
from controller.errors import FitRefused
from controller.simulation.profiles import PROFILES, load_profile
from tests.fakes.engine_windows import at_random

CURVES = load_profile("llama-3.1-70b/bf16/4xh100")


@pytest.mark.parametrize("rate_per_s", [0.03, 0.2, 0.6, 2.0])
def test_random_arrivals_keep_the_emulated_engine_busy_as_told(rate_per_s: float) -> None:
    window = at_random(CURVES, rate_per_s, (512, 100), wall_s=3000 / rate_per_s**0.5, rng=Random(8))
    load = Load(window.generation_tokens / window.wall_s, window.prompt_tokens / window.wall_s)
    assert busy_frac(CURVES, load) == pytest.approx(window.working_s / window.wall_s, abs=0.02)
    assert power_w(CURVES, load) == pytest.approx(window.energy_j / window.wall_s, rel=0.025)


def test_prompts_keep_the_emulated_engine_busy_too() -> None:
    window = at_random(CURVES, 0.8, (4096, 8), wall_s=3000, rng=Random(2))
    load = Load(window.generation_tokens / window.wall_s, window.prompt_tokens / window.wall_s)
    told = busy_frac(CURVES, load)
    assert told == pytest.approx(window.working_s / window.wall_s, abs=0.04)
    assert told > 1.5 * busy_frac(CURVES, Load(load.tokens_per_s))


def test_requests_that_wait_for_a_full_batch_keep_the_emulated_engine_busy() -> None:
    small = dataclasses.replace(CURVES, max_num_seqs=2)
    window = at_random(small, 0.9, (64, 100), wall_s=6000, rng=Random(2))
    load = Load(window.generation_tokens / window.wall_s, window.prompt_tokens / window.wall_s)
    told = busy_frac(small, load)
    assert told == pytest.approx(window.working_s / window.wall_s, abs=0.02)
    assert told > busy_frac(CURVES, load) + 0.02


def test_the_straight_line_alone_would_be_far_off_at_a_small_load() -> None:
    window = at_random(CURVES, 0.03, (512, 100), wall_s=15_000, rng=Random(8))
    measured_w = window.energy_j / window.wall_s
    assert CURVES.p0_w > 2.5 * measured_w


def test_requests_one_after_the_other_keep_it_busy_longest() -> None:
    load = Load(30.0)
    alone = busy_frac(CURVES, load, Arrivals.ONE_BY_ONE)
    assert alone == pytest.approx(30 * (CURVES.step_base_s + CURVES.step_per_seq_s))
    assert 0 < busy_frac(CURVES, load) < alone
    assert busy_frac(CURVES, Load(1000.0), Arrivals.ONE_BY_ONE) == 1.0


@given(st.sampled_from(sorted(PROFILES)), st.floats(0, 3), st.floats(0, 4))
def test_power_lies_between_idle_and_the_line_and_is_never_negative(name: str, share: float, ratio: float) -> None:
    curves = load_profile(name)
    rate = share * curves.decode_tokens_per_s_at(curves.max_num_seqs)
    load = Load(rate, ratio * rate)
    line_w = curves.p0_w + curves.decode_j_per_token * rate + curves.prefill_j_per_token * ratio * rate
    assert 0 <= busy_frac(curves, load) <= 1
    assert curves.idle_w * (1 - 1e-9) <= power_w(curves, load) <= line_w * (1 + 1e-9)


def test_prompts_alone_keep_it_busy_for_their_own_time() -> None:
    assert busy_frac(CURVES, Load(0.0)) == 0.0
    assert power_w(CURVES, Load(0.0)) == CURVES.idle_w
    assert busy_frac(CURVES, Load(0.0, 1000.0)) == pytest.approx(1000 * CURVES.prefill_s_per_token)


def test_rest_power_is_the_mean_of_windows_without_work() -> None:
    found = rest_power([Window(10.0, joules, 0.0, 0.0, 0.0) for joules in (1190.0, 1200.0, 1210.0)])
    assert found.mean_w == pytest.approx(120.0)
    assert found.sd_w == pytest.approx(1 / 3**0.5)
    with pytest.raises(FitRefused, match="keep traffic away"):
        rest_power([Window(10.0, 1200.0, 0.0, 0.0, 0.0), Window(10.0, 1300.0, 5.0, 9.0, 1.0)])
    with pytest.raises(FitRefused, match="at least two"):
        rest_power([Window(10.0, 1200.0, 0.0, 0.0, 0.0)])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"idle_w": 100.0}, r"idle_w is 100 W, below sleeping_w"),
        ({"sleeping_w": 10.0}, r"sleeping_w is 10 W, below off_w"),
        ({"off_w": -1.0}, r"off_w is -1 W, below zero"),
        ({"idle_w": 5000.0}, r"P0 is 1665 W, below idle_w"),
    ],
)
def test_states_that_draw_more_for_less_are_refused(changes: dict[str, float], told: str) -> None:
    require_states_in_order(CURVES)
    with pytest.raises(FitRefused, match=told):
        require_states_in_order(dataclasses.replace(CURVES, **changes))
