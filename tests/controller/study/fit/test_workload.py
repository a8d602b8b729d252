from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.study.fit.sheet import parse_sheet
from controller.study.fit.workload import SYNTHETIC, compare, read_workload, tables

HEAD = "model,input_tokens,output_tokens,energy_j,runtime_s\n"


def test_on_the_synthetic_grid_ours_errs_less_and_never_goes_below_zero() -> None:
    found = compare(read_workload(SYNTHETIC))
    assert len(found) == 6
    for c in found:
        assert c.requests == 81
        assert c.ours.errors.held_out_mape_frac < 0.12 < c.published.held_out_mape_frac
        assert c.negative == 0 < c.published.negative
        assert c.published.r2 > 0.95


def test_all_tables_name_every_model() -> None:
    found = compare(read_workload(SYNTHETIC))
    for table in tables(found):
        assert [row[0] for row in table.rows] == [c.model for c in found]


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    lines = [
        f"m,{tin},{tout},{1 + tout + tin / 10 + tin * tout / 99},{tout / 9}"
        for tin in (8, 64, 512)
        for tout in (4, 32, 256)
    ]
    path = tmp_path / "own.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n")
    energy, runtime = compare(read_workload(str(path)))
    assert (energy.figure, runtime.figure) == ("energy", "runtime")
    assert energy.ours.value("τout") == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD + "m,8,8,5,1\n" * 3, r"f\.csv: m, energy: 3 measurements cannot tell 5 terms"),
        (HEAD + "m,8,8,5,0\n", r"line 2, column runtime_s: 0 must be"),
        ("model,energy_j\nm,1\n", r"requests need the columns input_tokens, output_tokens, runtime_s"),
    ],
)
def test_wrong_files_are_told(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        compare(parse_sheet(text, "f.csv"))
