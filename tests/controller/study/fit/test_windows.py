from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.simulation.profiles import load_profile
from controller.study.fit import windows as module
from controller.study.fit.sheet import parse_sheet
from controller.study.fit.windows import BATCH, EMULATED, EMULATED_FILE, read_windows, tables, tell_apart
from tests.fakes.emulated_windows import emulated_windows

SHIPPED = Path(module.__file__).parent / "data" / EMULATED_FILE
HEAD = "configuration,wall_s,energy_j,prompt_tokens,generation_tokens,answers,busy_s\n"


def test_the_shipped_windows_are_those_of_the_emulated_engines() -> None:
    assert SHIPPED.read_text() == emulated_windows()
    assert SHIPPED.read_text().startswith("# EMULATED: ")


def test_both_phases_of_the_emulated_engines_are_found_again() -> None:
    found = tell_apart(read_windows(EMULATED))
    assert len(found) == 4
    for phases in found:
        curves = load_profile(phases.configuration)
        assert phases.rest.mean_w == pytest.approx(curves.idle_w)
        true_prefill_j = curves.prefill_j_per_token + curves.p0_w * curves.prefill_s_per_token
        assert phases.prefill_j == pytest.approx(true_prefill_j, rel=0.02)
        assert phases.decode_j == pytest.approx(curves.step_base_j / BATCH + curves.step_per_seq_j, rel=0.01)


def test_lower_precision_pays_in_prefill_and_not_in_decode_on_as_many_gpus() -> None:
    bf16, fp8 = (p for p in tell_apart(read_windows(EMULATED)) if p.configuration.startswith("qwen3-235b"))
    assert fp8.prefill_j < 0.7 * bf16.prefill_j
    assert fp8.decode_j > 1.1 * bf16.decode_j


def test_without_steps_the_times_are_dashes_and_the_energies_stay() -> None:
    text = SHIPPED.read_text().replace(",steps", ",left_out")
    found = tell_apart(parse_sheet(text, "f.csv"))
    assert found[0].prefill_j is None
    assert found[0].decode_j is None
    energies, parameters = tables(found)
    assert energies.rows[0][2:4] == (None, None)
    assert parameters.rows[0][-3:] == (None, None, None)
    assert parameters.rows[0][2] == tables(tell_apart(read_windows(EMULATED)))[1].rows[0][2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("configuration,wall_s\na,1\n", r"line 1: windows need the columns energy_j, prompt_tokens"),
        (HEAD + "a,10,500,1,9,-1,10\n", r"line 2, column answers: -1 must be"),
        (HEAD + "a,10,500,1,2,9,10\n", r"f\.csv, line 2: 9 answers began with 2 tokens"),
        (HEAD + "a,10,500,1,9,1,10\n", r"f\.csv: a: 0 windows without work tell no spread"),
        (HEAD + "a,10,500,0,0,0,0\n" * 2 + "a,10,900,5,90,1,10\n", r"f\.csv: a: 1 measurements cannot tell 3 terms"),
    ],
)
def test_wrong_files_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        tell_apart(parse_sheet(text, "f.csv"))
