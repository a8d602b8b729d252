from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from controller.errors import ConfigError
from controller.profile.cells import CellsFile, Rest
from controller.profile.design import Cell
from tests.fakes.profiles import measured

HEAD = {"url": "http://engine", "design": {"max_concurrency": 64}, "gpu_uuids": ("a", "b")}


def opened(path: Path, **changes: object) -> CellsFile:
    file = CellsFile(path, {**HEAD, **changes})
    file.open()
    return file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.cells.jsonl"
    file = opened(path)
    file.set_rest(Rest(800.0))
    file.add(measured(Cell(8, 32, 128)))
    file.add(measured(Cell(9, 32, 128), fault="not steady"))
    return path


def test_a_later_run_finds_what_was_measured(path: Path) -> None:
    file = opened(path)
    assert file.rest == Rest(800.0)
    assert file.cells == [measured(Cell(8, 32, 128)), measured(Cell(9, 32, 128), fault="not steady")]
    assert [cell.is_usable for cell in file.cells] == [True, False]


def test_a_line_that_a_killed_run_left_unfinished_is_measured_again(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-25])
    file = opened(path)
    assert len(file.cells) == 1
    file.add(measured(Cell(10, 32, 128)))
    assert [cell.cell.concurrency for cell in opened(path).cells] == [8, 10]


def test_a_run_killed_before_its_first_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"wattr')
    opened(path).set_rest(Rest(1.0))
    assert opened(path).rest == Rest(1.0)


def test_cells_of_another_target_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"another profile \(url: 'http://engine' there, 'http://other' now\)"):
        opened(path, url="http://other")


def test_a_file_of_another_target_without_a_cell_is_begun_anew(tmp_path: Path) -> None:
    """As after a first attempt with the wrong GPUs."""
    path = tmp_path / "x"
    opened(path, gpu_uuids=("c",)).set_rest(Rest(500.0))
    assert opened(path).rest is None
    opened(path).set_rest(Rest(800.0))
    assert opened(path).rest == Rest(800.0)


@pytest.mark.parametrize(
    "line", ["{}", "[1]", "nonsense", '{"cell": {"cell": {}}}', '{"rest": {"idle": 3}}'], ids=range(5)
)
def test_a_damaged_file_is_told_by_line(path: Path, line: str) -> None:
    with path.open("a") as out:
        out.write(line + "\n")
    with pytest.raises(ConfigError, match=rf"{path.name}:5: .*remove the line"):
        opened(path)


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text('{"mine": 1}\n')
    with pytest.raises(ConfigError, match="does not begin as a file of cells"):
        opened(path)
    assert path.read_text() == '{"mine": 1}\n'


def test_cells_that_were_left_out_are_forgotten_for_good_and_named_to_be_measured_anew(path: Path) -> None:
    file = opened(path)
    file.add(measured(Cell(8, 32, 128), fault="not steady"))
    assert file.forget_faulted() == [Cell(9, 32, 128)]
    assert file.cells == [measured(Cell(8, 32, 128))]
    again = opened(path)
    assert (again.cells, again.rest) == (file.cells, Rest(800.0))
    assert again.forget_faulted() == []


def test_cells_of_a_run_that_let_more_pass_are_measured_anew_where_less_is_let_pass(path: Path) -> None:
    opened(path).add(measured(Cell(10, 32, 128), rate_cv=0.15))
    loose = CellsFile(path, HEAD, max_spread_frac=0.2)
    loose.open()
    assert loose.forget_faulted() == [Cell(9, 32, 128)]
    assert opened(path).forget_faulted() == [Cell(10, 32, 128)]


def test_what_was_measured_outlasts_a_disk_that_is_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(path.read_bytes()[:-25])
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left on device; make room"):
        opened(path)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        opened(tmp_path / "absent" / "x")
