from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.simulation import profile_rows
from controller.simulation.profile_rows import DATA_FILE, RowKey, load_rows

LLAMA_8B = RowKey("meta-llama/Llama-3.1-8B-Instruct", "bfloat16", "H100", 1)


def test_rows_of_one_configuration_alone_are_read() -> None:
    rows = load_rows(LLAMA_8B)
    assert len(rows.samples) == 11
    assert (rows.largest_max_num_seqs, rows.mean_answer_tokens) == (768, 397.35)
    assert rows.held_tokens == pytest.approx(691 * 397.35, rel=0.001)
    assert rows.fit().time.intercept == pytest.approx(0.0067, rel=0.01)


def test_rows_that_were_not_in_steady_state_are_left_out() -> None:
    """The last of the 12 was started for 4096 sequences; its steps took far longer than its median latency."""
    rows = load_rows(RowKey("meta-llama/Llama-3.1-405B-Instruct", "bfloat16", "B200", 8))
    assert len(rows.samples) == 11
    assert rows.largest_max_num_seqs == 3072


def test_a_configuration_that_was_not_measured_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no usable rows for nobody/nothing fp8 H100 3 .*install wattroute again"):
        load_rows(RowKey("nobody/nothing", "fp8", "H100", 3))


@pytest.mark.parametrize("text", ["model_id\nx\n", "", None])
def test_missing_or_broken_measurements_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "data").mkdir()
    if text is not None:
        (tmp_path / "data" / DATA_FILE).write_text(text)
    monkeypatch.setattr(profile_rows.resources, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match=r"mlenergy_v3_lm_arena_chat.csv.*install wattroute again"):
        load_rows(LLAMA_8B)
