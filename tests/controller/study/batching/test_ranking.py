from __future__ import annotations

import pytest

from controller.errors import ConfigError
from controller.study.batching.ranking import Ranking, rank
from controller.study.measured import Configuration

QWEN = "Qwen/Qwen3-235B-A22B-Instruct-2507"
BF16_8 = Configuration(QWEN, "bfloat16", "H100", 8)
FP8_8 = Configuration(f"{QWEN}-FP8", "fp8", "H100", 8)
FP8_4 = Configuration(f"{QWEN}-FP8", "fp8", "H100", 4)
BATCHES = (8, 12, 16, 32, 65, 96, 128, 192, 224)
RATES = (100.0, 3000.0)


def ranked(other: Configuration) -> Ranking:
    return rank("r", BF16_8, other, concurrency=BATCHES, rates_tokens_per_s=RATES)


def test_fp8_on_as_many_gpus_needs_more_energy_at_8_to_16_concurrent_and_less_at_65_and_more() -> None:
    changes = {at.concurrency: at.change_frac for at in ranked(FP8_8).at_concurrency}
    assert all(0.13 <= (changes[batch] or 0) <= 0.57 for batch in (8, 12, 16))
    assert all(-0.29 <= (changes[batch] or 0) < 0 for batch in (65, 96, 128, 192, 224))
    assert ranked(FP8_8).break_even == pytest.approx(28, abs=2)


def test_the_published_changes_come_out() -> None:
    """ML.ENERGY v3: FP8 on 8 H100 at 8 concurrent 11.39 against 7.29 J; halving the GPUs +30, +1, -21, -26 %."""
    changes = {at.concurrency: at.change_frac for at in ranked(FP8_4).at_concurrency}
    assert [changes[batch] for batch in (8, 16, 32, 128)] == pytest.approx([0.30, 0.01, -0.21, -0.26], abs=0.01)
    assert ranked(FP8_8).at_concurrency[0].change_frac == pytest.approx(11.39 / 7.29 - 1, abs=0.005)


def test_at_an_equal_rate_precision_saves_by_freeing_gpus() -> None:
    same, half = ranked(FP8_8).at_rate[1], ranked(FP8_4).at_rate[1]
    assert same.change_frac == pytest.approx(-0.01, abs=0.005)
    assert half.change_frac == pytest.approx(-0.36, abs=0.005)


def test_what_was_not_measured_has_no_figure() -> None:
    found = rank("r", BF16_8, FP8_4, concurrency=(4.0, 220.0), rates_tokens_per_s=(100.0,))
    assert [at.change_frac for at in found.at_concurrency] == [None, None]
    assert (found.at_rate[0].base_w, found.at_rate[0].other_w, found.at_rate[0].base_step_s) == (None, None, None)


def test_fitted_lines_tell_another_break_even() -> None:
    found = ranked(FP8_8)
    assert found.fitted_break_even == pytest.approx(84, abs=1)
    at_32 = next(at for at in found.at_concurrency if at.concurrency == 32)
    assert (at_32.change_frac or 0) < 0 < at_32.fitted_change_frac


def test_a_ranking_that_never_changes_has_no_break_even() -> None:
    llama = "meta-llama/Llama-3.1-405B-Instruct"
    base, other = Configuration(llama, "bfloat16", "B200", 8), Configuration(f"{llama}-FP8", "fp8", "B200", 4)
    found = rank("r", base, other, concurrency=BATCHES, rates_tokens_per_s=(2000.0,))
    assert found.break_even is None
    assert all(-0.42 < (at.change_frac or 0) < -0.32 for at in found.at_concurrency)


def test_an_unknown_configuration_is_told() -> None:
    with pytest.raises(ConfigError, match="no such configuration"):
        rank("r", BF16_8, Configuration(QWEN, "int4", "H100", 2), concurrency=(8,), rates_tokens_per_s=(1.0,))
