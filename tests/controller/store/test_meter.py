import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from controller.errors import StoreError
from controller.model.observation import Quality
from controller.store.meter import MAX_WAITING, MeterStore
from controller.store.meter_file import TABLES, Retention
from controller.store.sqlite_file import open_tables
from tests.fakes.metered import T0

TAKING = """
import sys
from pathlib import Path
from controller.store.meter import MeterStore
store = MeterStore(Path(sys.argv[1]))
second = int(sys.argv[2])
while True:
    store.take(1_700_000_040.0 + second, 1000.0)
    store.flush()
    print(second, flush=True)
    second += 1
"""


@pytest.fixture
def store(tmp_path):
    with contextlib.closing(MeterStore(tmp_path / "data" / "meter.sqlite")) as opened:
        yield opened


def test_what_was_taken_can_be_read(store):
    for second in range(120):
        store.take(T0 + second, 1000.0 + second, Quality.ESTIMATED)
    assert store.flush()
    (mean,) = store.means(T0, T0 + 60, 60.0)
    assert (mean.mean_w, mean.quality, mean.covered_frac) == (pytest.approx(1029.5), Quality.ESTIMATED, 1.0)
    assert store.span_s() == (T0, T0 + 120)


def test_it_is_there_after_the_process_ended(tmp_path):
    for second in (0, 1):
        with contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as store:
            store.take(T0 + second, 1000.0)
    with contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as store:
        assert [mean.mean_w for mean in store.means(T0, T0 + 2, 1.0)] == [1000.0, 1000.0]


@pytest.mark.parametrize("look", [(float("nan"), 1.0), (-1.0, 1.0), (T0, float("nan")), (T0, 1e30), (T0, float("inf"))])
def test_a_look_that_is_none_is_refused(store, look):
    with pytest.raises(StoreError, match="nothing was kept"):
        store.take(*look)
    assert store.span_s() is None


def test_what_cannot_be_written_is_told_waits_and_is_written_later(tmp_path):
    with contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as store:
        store._writing.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.take(T0, 1000.0)
        assert not store.flush(10.0)
        with pytest.raises(StoreError, match="not written: database is locked"):
            store.take(T0 + 1, 1000.0)
        other.execute("ROLLBACK")
        other.close()
        with contextlib.suppress(StoreError):
            store.take(T0 + 2, 1000.0)
        waited = threading.Event()
        for _ in range(100):
            if store.flush(1.0):
                break
            waited.wait(0.1)
        assert [mean.mean_w for mean in store.means(T0, T0 + 3, 1.0)] == [1000.0] * 3


def test_what_waits_is_bounded_and_what_is_lost_is_counted(tmp_path):
    with contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as store:
        store._writing.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "m.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for second in range(MAX_WAITING + 50):
            with contextlib.suppress(StoreError):
                store.take(T0 + second, 1000.0)
        assert not store.flush(10.0)
        assert store.dropped >= 50 - 1
        assert len(store._waiting) <= MAX_WAITING
        other.execute("ROLLBACK")
        other.close()


def test_a_process_that_is_killed_loses_at_most_the_look_under_way(tmp_path):
    """kill -9 again and again; what was acknowledged is there, and the file stays sound."""
    file, second = tmp_path / "m.sqlite", 0
    for _ in range(4):
        taking = subprocess.Popen(
            [sys.executable, "-c", TAKING, str(file), str(second)], stdout=subprocess.PIPE, text=True, env=os.environ
        )
        with taking:
            for line in taking.stdout:
                second = int(line)
                if second % 40 == 39:
                    break
            taking.send_signal(signal.SIGKILL)
            second = max([second, *(int(line) for line in taking.stdout if line.endswith("\n"))])
        with contextlib.closing(open_tables(file, TABLES)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            last = db.execute("SELECT MAX(second) FROM seconds").fetchone()[0] - int(T0)
            (count,) = db.execute("SELECT COUNT(*) FROM seconds").fetchone()
        assert second <= last <= second + 1
        assert count == last + 1
        second = last + 1


def test_events_are_noted_and_noted_again(store):
    store.mark_event("a", T0, T0 + 60)
    store.mark_event("a", T0, T0 + 120)
    store.mark_event("b", T0 - 86_400, T0 - 86_000)
    assert store.event_spans() == ((T0 - 86_400, T0 - 86_000), (T0, T0 + 120))


def test_a_baseline_is_kept_by_its_call(store):
    assert store.frozen("vtn 1") is None
    store.freeze("vtn 1", T0, "{}")
    assert (store.frozen("vtn 1"), store.frozen("vtn 2")) == ("{}", None)


def test_an_import_goes_beside_a_controller_that_writes(tmp_path):
    with (
        contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as controller,
        contextlib.closing(MeterStore(tmp_path / "m.sqlite")) as command,
    ):
        controller.take(T0, 1000.0)
        outcome = command.import_means([(T0 - 900.0, T0, 500.0)], Quality.DIRECT)
        controller.take(T0 + 1, 1000.0)
        assert controller.flush()
        assert outcome.written == 15
        (mean,) = controller.means(T0 - 900, T0 + 60, 960.0)
        assert mean.mean_w == pytest.approx((900 * 500 + 1000) / 901)


def test_a_year_of_minutes_stays_small(tmp_path):
    file = tmp_path / "m.sqlite"
    with contextlib.closing(MeterStore(file, Retention())) as store:
        store.import_means(((T0 + 900.0 * n, T0 + 900.0 * (n + 1), 1e5 + n) for n in range(96 * 365)), Quality.DIRECT)
        began_s = time.process_time()
        assert len(store.means(T0, T0 + 45 * 86_400, 300.0)) == 12_960
        assert time.process_time() - began_s < 5.0
    assert file.stat().st_size < 30e6
