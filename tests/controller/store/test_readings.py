import sqlite3

import pytest

from controller.errors import StoreError
from controller.model.observation import Quality
from controller.store.meter import MeterStore
from controller.store.readings import DAY_S, Told, as_told, check_readings, told

FROM_S = 1_790_035_200.0  # a midnight
KEEP_DAYS = 430.0


@pytest.fixture
def path(tmp_path):
    """Two days of readings by minutes, the first imported."""
    store = MeterStore(tmp_path / "meter.sqlite")
    store.import_means([(FROM_S + 60 * n, FROM_S + 60 * n + 60, 1000.0 + n) for n in range(1440)], Quality.DIRECT)
    store.close()
    db = sqlite3.connect(tmp_path / "meter.sqlite")
    first = int((FROM_S + DAY_S) // 60)
    db.executemany("INSERT INTO minutes VALUES (?, ?, 60.0, 0, 0)", [(first + n, 1e5 + n) for n in range(1440)])
    db.commit()
    db.close()
    return tmp_path / "meter.sqlite"


def known(path, *, is_measured_only=False, from_s=FROM_S, until_s=FROM_S + 2 * DAY_S, row=7):
    store = MeterStore(path)
    hours = store.digests(from_s, until_s, is_measured_only=is_measured_only)
    store.close()
    return told(row, as_told(from_s, until_s, hours, is_measured_only=is_measured_only))


def change(path, statement):
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def test_what_was_not_changed_fits(path):
    assert check_readings(path, [known(path)], KEEP_DAYS).hours == 48
    assert check_readings(path, [], KEEP_DAYS).hours == 0


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE minutes SET energy_j = energy_j + 0.001 WHERE minute = {} + 1440 + 65", "T01:00:00Z were changed"),
        ("UPDATE minutes SET quality = 1 WHERE minute = {} + 59", "T00:00:00Z were changed"),
        ("UPDATE minutes SET covered_s = 30 WHERE minute = {} + 1439", "T23:00:00Z were changed"),
        ("DELETE FROM minutes WHERE minute = {} + 200", "T03:00:00Z were changed"),
        ("DELETE FROM minutes WHERE minute >= {} + 120 AND minute < {} + 180", "T02:00:00Z were removed"),
        ("DELETE FROM minutes WHERE minute < {} + 60", "T00:00:00Z were removed"),
        ("DELETE FROM minutes", "T00:00:00Z were removed"),
        ("UPDATE minutes SET minute = minute + 10000 WHERE minute = {} + 61", "T01:00:00Z were changed"),
    ],
)
def test_every_change_is_found_and_its_hour_named(path, statement, said):
    before = known(path)
    change(path, statement.replace("{}", str(int(FROM_S // 60))))
    with pytest.raises(StoreError, match=said) as caught:
        check_readings(path, [before], KEEP_DAYS)
    assert "after row 7 of the evidence" in str(caught.value)


def test_readings_that_were_imported_beside_change_no_digest_of_measured_ones(path):
    measured = known(path, is_measured_only=True)
    assert measured.hours[0] == ""
    change(path, f"DELETE FROM minutes WHERE minute < {int(FROM_S // 60) + 700}")
    assert check_readings(path, [measured], KEEP_DAYS).hours == sum(map(bool, measured.hours)) < 48


def test_what_is_past_its_time_is_gone_and_not_removed(path):
    before = known(path)
    change(path, f"DELETE FROM minutes WHERE minute < {int(FROM_S // 60) + 600}")
    assert check_readings(path, [before], 1.0).gone == 10
    with pytest.raises(StoreError, match="removed"):
        check_readings(path, [before], 2.0)


def test_a_file_that_is_gone_or_none_is_told(path, tmp_path):
    before = known(path)
    with pytest.raises(StoreError, match=r"is gone, and row 7"):
        check_readings(tmp_path / "other", [before], KEEP_DAYS)
    (tmp_path / "text").write_text("no database, but long enough to be looked at")
    with pytest.raises(StoreError, match="not readable as a meter store"):
        check_readings(tmp_path / "text", [before], KEEP_DAYS)


def test_what_is_told_comes_back():
    payload = as_told(0.0, 3600.0, ("ab",), is_measured_only=True)
    assert told(3, payload) == Told(3, 0.0, 3600.0, ("ab",), is_measured_only=True)
    with pytest.raises(KeyError):
        told(3, {"from_s": 1})
