from __future__ import annotations

from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.study.fit import sheet as module
from controller.study.fit.sheet import parse_sheet, read_sheet, shipped_sheet


def test_lines_keep_their_numbers_past_comments_and_empty_ones() -> None:
    sheet = parse_sheet('# made up\na, b\n\n1,"x, y"\n# more\n2,z\n', "f.csv")
    assert sheet.columns == ("a", "b")
    assert [(line.number, line.cells["a"], line.text("b")) for line in sheet.lines] == [(4, "1", "x, y"), (6, "2", "z")]


def test_a_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("\ufeffa,b\r\n1,2\r\n".encode())
    assert read_sheet(path).lines[0].figure("a") == 1.0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"f\.csv: no lines"),
        ("# only\n", r"f\.csv: no lines"),
        ("a,b\n", r"no measurements below"),
        ("a,a\n1,2\n", r"line 1: column a twice"),
        ("a,b\n1,2\n3\n", r"f\.csv, line 3: 1 cells for 2 columns"),
        ("a;b\n1,5;2\n", r"f\.csv, line 2: 2 cells for 1 columns; cells are parted by commas"),
        ("a,b\n" + "x" * 200_000, r"f\.csv, line 2: no line of CSV"),
    ],
)
def test_files_that_are_no_table_are_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_sheet(text, "f.csv")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("", "it is empty"),
        ("two", "'two' is no number"),
        ("nan", "finite"),
        ("inf", "finite"),
        ("0", "above 0"),
        ("-1", "above 0"),
        ("1e308", r"1e308 is more than 1e\+12; correct it, or its unit"),
    ],
)
def test_a_wrong_figure_is_told_by_line_and_column(cell: str, told: str) -> None:
    line = parse_sheet(f"a,b\n1,{cell}\n", "f.csv").lines[0]
    with pytest.raises(ConfigError, match=rf"f\.csv, line 2, column b: .*{told}"):
        line.figure("b")


def test_zero_counts_where_it_may() -> None:
    line = parse_sheet("a\n0\n", "f.csv").lines[0]
    assert line.figure("a", above=False) == 0.0


def test_missing_columns_are_named_with_those_there() -> None:
    sheet = parse_sheet("a,b\n1,2\n", "f.csv")
    with pytest.raises(ConfigError, match=r"line 1: rows need the columns c, d; there are a, b"):
        sheet.require(("a", "c", "d"), "rows")


def test_unreadable_files_are_told_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: cannot be read: No such file"):
        read_sheet(tmp_path / "absent.csv")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_sheet(tmp_path)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("a\nä\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="byte 2 is not UTF-8"):
        read_sheet(latin)
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    with pytest.raises(ConfigError, match="4 lines are more than 3"):
        parse_sheet("a\n1\n2\n3\n", "f.csv")
    monkeypatch.setattr(module, "MOST_BYTES", 2)
    with pytest.raises(ConfigError, match="more than 0 MB"):
        read_sheet(latin)


def test_a_shipped_file_that_is_gone_asks_for_a_new_install() -> None:
    with pytest.raises(ConfigError, match=r"shipped absent\.csv cannot be read .*install wattroute again"):
        shipped_sheet("controller.study.fit", "absent.csv")
