from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.simulation import profile_rows
from controller.study import measured as module
from controller.study.measured import Configuration, measured

QWEN = "Qwen/Qwen3-235B-A22B-Instruct-2507"
BF16_8 = Configuration(QWEN, "bfloat16", "H100", 8)
FP8_8 = Configuration(f"{QWEN}-FP8", "fp8", "H100", 8)
FP8_4 = Configuration(f"{QWEN}-FP8", "fp8", "H100", 4)


def test_a_measured_row_is_met_exactly() -> None:
    found = measured(BF16_8)
    for row in found.rows:
        assert found.j_per_output_token(row.sample.batch) == pytest.approx(row.j_per_output_token)


@pytest.mark.parametrize(("batch", "joules"), [(8, 7.29), (16, 5.18), (32, 3.83), (64, 2.39), (128, 1.49)])
def test_figures_are_those_published(batch: float, joules: float) -> None:
    assert measured(BF16_8).j_per_output_token(batch) == pytest.approx(joules, abs=0.01)


def test_there_is_no_value_outside_of_what_was_measured() -> None:
    found = measured(BF16_8)
    assert found.step_s(4.0) is None
    assert found.step_j(300.0) is None
    assert found.j_per_output_token(300.0) is None
    assert found.batch_at_rate(1.0) is None
    assert found.batch_at_rate(1e6) is None


@pytest.mark.parametrize(("configuration", "power_w"), [(BF16_8, 3941), (FP8_8, 3897), (FP8_4, 2534)])
def test_power_at_an_equal_rate_is_as_published(configuration: Configuration, power_w: float) -> None:
    found = measured(configuration)
    batch = found.batch_at_rate(3000.0)
    assert batch is not None
    step_s, step_j = found.step_s(batch), found.step_j(batch)
    assert step_s is not None
    assert step_j is not None
    assert batch / step_s == pytest.approx(3000.0)
    assert step_j / step_s == pytest.approx(power_w, abs=1)


def test_batches_rise_where_a_configuration_was_measured_twice() -> None:
    found = measured(Configuration("Qwen/Qwen3-30B-A3B-Instruct-2507", "bfloat16", "H100", 2))
    batches = [row.sample.batch for row in found.rows]
    assert batches == sorted(set(batches))


def test_an_unknown_model_gets_the_nearest_ones() -> None:
    with pytest.raises(ConfigError, match=r"Qwen3-235B.* fp8 8xH100: no such configuration.*2507-FP8 fp8 8xH100"):
        measured(Configuration(QWEN, "fp8", "H100", 8))


@pytest.mark.parametrize("text", ["model_id\nx\n", None])
def test_broken_measurements_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    (tmp_path / "data").mkdir()
    if text is not None:
        (tmp_path / "data" / module.DATA_FILE).write_text(text)
    monkeypatch.setattr(profile_rows.resources, "files", lambda package: tmp_path)
    module._all_rows.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"mlenergy_v3.*install wattroute again"):
            measured(BF16_8)
    finally:
        module._all_rows.cache_clear()
