import sqlite3

import pytest

from controller.model.observation import Quality
from controller.store.meter_file import HOLD_S, MeterWriter, Retention, Taken, write_imported
from tests.fakes.metered import T0


def looks(*parts, quality=Quality.DIRECT):
    return [Taken(T0 + time_s, power_w, quality) for time_s, power_w in parts]


def minutes(db):
    return {
        int(minute - T0 // 60): (energy_j, covered_s)
        for minute, energy_j, covered_s in db.execute("SELECT minute, energy_j, covered_s FROM minutes")
    }


def seconds(db):
    return dict(db.execute(f"SELECT second - {int(T0)}, power_w FROM seconds"))


def test_a_reading_counts_until_the_next_look(db):
    MeterWriter(db, Retention()).write(looks((0.5, 100.0), (1.5, 200.0), (4.5, 300.0)))
    assert minutes(db) == {0: (100.0 + 3 * 200.0, 4.0)}
    assert seconds(db) == {0: 100.0, 1: 200.0, 4: 300.0}


def test_a_reading_is_shared_by_the_minutes_that_it_stands_in(db):
    MeterWriter(db, Retention()).write(looks((58.0, 100.0), (61.0, 100.0)))
    assert minutes(db) == {0: (200.0, 2.0), 1: (100.0, 1.0)}


def test_a_reading_does_not_stand_for_a_long_gap(db):
    MeterWriter(db, Retention()).write(looks((0.0, 100.0), (40.0, 100.0), (41.0, 100.0)))
    assert minutes(db) == {0: (100.0 * (HOLD_S + 1), HOLD_S + 1)}


def test_a_look_that_finds_nothing_is_a_gap_and_not_zero(db):
    MeterWriter(db, Retention()).write(looks((0.0, 100.0), (1.0, None), (2.0, None), (3.0, 100.0), (4.0, 100.0)))
    assert minutes(db) == {0: (200.0, 2.0)}
    assert seconds(db)[1] is None


def test_the_next_process_goes_on_with_the_minute(db):
    MeterWriter(db, Retention()).write(looks((0.0, 100.0), (10.0, 100.0)))
    MeterWriter(db, Retention()).write(looks((20.0, 100.0), (21.0, 100.0)))
    assert minutes(db) == {0: (100.0 * (HOLD_S + 1), HOLD_S + 1)}


def test_a_clock_that_is_set_back_counts_no_time_twice(db):
    writer = MeterWriter(db, Retention())
    writer.write(looks(*((float(t), 100.0) for t in range(300))))
    writer.write(looks(*((float(t), 900.0) for t in range(60, 241))))
    assert minutes(db)[2] == (60 * 900.0, 60.0)
    assert minutes(db)[0] == (6000.0, 60.0)


def test_a_small_step_of_the_clock_does_not_cost_the_minute(db):
    writer = MeterWriter(db, Retention())
    writer.write(looks(*((float(t), 100.0) for t in range(62)), (59.0, 100.0), (60.0, 100.0), (61.0, 100.0)))
    energy_j, covered_s = minutes(db)[0]
    assert covered_s >= 60.0
    assert energy_j / covered_s == 100.0


def test_a_clock_that_was_ahead_leaves_no_seconds_behind(db):
    writer = MeterWriter(db, Retention())
    writer.write(looks((0.0, 100.0), (120.5, 7.0), (121.5, 7.0), (1.0, 100.0), (119.0, 100.0), (125.0, 100.0)))
    assert 7.0 not in seconds(db).values()


def test_a_clock_that_is_years_ahead_for_a_moment_does_not_cost_the_history(db):
    writer = MeterWriter(db, Retention(seconds_days=1, minutes_days=60))
    writer.write(looks(*((float(t), 100.0) for t in range(0, 3600, 5))))
    writer.write([Taken(T0 + 50 * 365 * 86_400.0, 100.0, Quality.DIRECT)])
    assert len(minutes(db)) >= 55


def test_what_is_too_old_goes_in_time(db):
    writer = MeterWriter(db, Retention(seconds_days=1, minutes_days=60))
    write_imported(db, [(T0 - 61 * 86_400.0, T0 - 61 * 86_400.0 + 600.0, 1.0)], Quality.DIRECT, replaces=False)
    for n in range(4):
        writer.write(looks((60.0 * n, 100.0), (60.0 * n + 1, 100.0)))
    assert min(minutes(db)) >= 0
    writer.write(looks((2 * 86_400.0, 100.0)))
    assert set(seconds(db)) == {2 * 86_400}


def test_nothing_of_a_transaction_that_fails_is_written(db, tmp_path):
    other = sqlite3.connect(tmp_path / "meter.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    db.execute("PRAGMA busy_timeout = 10")
    writer = MeterWriter(db, Retention())
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.write(looks((0.0, 100.0), (1.0, 100.0)))
    other.execute("ROLLBACK")
    other.close()
    writer.write(looks((0.0, 100.0), (1.0, 100.0)))
    assert minutes(db) == {0: (100.0, 1.0)}


def test_imports_leave_alone_what_was_measured_unless_told(db):
    MeterWriter(db, Retention()).write(looks((0.0, 100.0), (1.0, 100.0)))
    outcome = write_imported(db, [(T0, T0 + 900.0, 50.0)], Quality.ESTIMATED, replaces=False)
    assert (outcome.written, outcome.kept) == (14, 1)
    assert minutes(db)[0] == (100.0, 1.0)
    assert write_imported(db, [(T0, T0 + 900.0, 70.0)], Quality.DIRECT, replaces=True).written == 15
    assert minutes(db)[0] == (70.0 * 60, 60.0)
