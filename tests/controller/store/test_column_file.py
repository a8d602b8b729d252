import os
from zoneinfo import ZoneInfo

import pytest

from controller.errors import StoreError
from controller.model.programme import RegressionRule, RegressionTerm
from controller.store.column_file import MAX_FILE_BYTES, ColumnFiles
from tests.fakes.metered import LOS_ANGELES, at


def rule(path, value="degc"):
    return RegressionRule((RegressionTerm.COLUMN,), str(path), "time", value)


def test_times_are_those_of_the_programmes_zone_unless_they_have_one(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("time,degc\n2026-08-14T17:00,21.5\n2026-08-14T18:00-07:00,20\n2026-08-14T19:00,\n")
    assert ColumnFiles().read(rule(path), LOS_ANGELES) == (
        (at("2026-08-14T17:00"), 21.5),
        (at("2026-08-14T18:00"), 20.0),
    )
    (first, *_) = ColumnFiles().read(rule(path), ZoneInfo("UTC"))
    assert first == (at("2026-08-14T10:00"), 21.5)


def test_a_file_is_read_again_when_it_changes(tmp_path):
    path, files = tmp_path / "w.csv", ColumnFiles()
    path.write_text("time,degc\n2026-08-14T17:00Z,1\n")
    first = files.read(rule(path), LOS_ANGELES)
    assert files.read(rule(path), LOS_ANGELES) is first
    path.write_text("time,degc\n2026-08-14T17:00Z,2\n")
    os.utime(path, ns=(1, 1))
    assert files.read(rule(path), LOS_ANGELES)[0][1] == 2.0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read: No such file"),
        ("time,wind\n2026-08-14T17:00Z,1\n", "no column is called 'degc'"),
        ("time,degc\n2026-08-14T17:00Z,warm\n", "line 2: 'warm' is no number"),
        ("time,degc\nnoon,1\n", "line 2: 'noon' is no time"),
        ("time,degc\n2026-08-14T17:00Z,1\n2026-08-14T17:00Z,2\n", "line 3: another value for the time of line 2"),
        (b"time,degc\n2026-08-14T17:00Z,\xff\n", "is no UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_file(tmp_path, text, problem):
    path = tmp_path / "w.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StoreError, match=problem) as told:
        ColumnFiles().read(rule(path), LOS_ANGELES)
    assert str(path) in str(told.value)


def test_a_file_beyond_all_bounds_is_not_read(tmp_path):
    path = tmp_path / "w.csv"
    with path.open("wb") as out:
        out.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(StoreError, match="more than 16 MiB"):
        ColumnFiles().read(rule(path), LOS_ANGELES)
