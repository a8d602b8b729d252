import contextlib
import sqlite3

import pytest
from prometheus_client import CollectorRegistry

from controller.errors import StoreError
from controller.evidence.frozen_baselines import FrozenFit, check_frozen
from controller.loop.meter_desk import MeterDesk, MeterDeskParts
from controller.model.grid import GridEvent
from controller.model.observation import Quality
from controller.model.programme import Programme
from controller.store.baselines import MeterBaselines
from controller.store.ledger import Ledger
from controller.store.meter import MeterStore
from tests.fakes.controller_parts import observation, reading
from tests.fakes.metered import T0


def begun(folder):
    """Evidence and a meter store after an event has begun, as the desk leaves them."""
    store, ledger = MeterStore(folder / "meter.sqlite"), Ledger(folder / "evidence.sqlite")
    before = [(T0 - 60.0 * n - 60.0, T0 - 60.0 * n, 1000.0) for n in range(120)]
    store.import_means(before, Quality.DIRECT)
    parts = MeterDeskParts(store, MeterBaselines(store), {"operator": Programme("operator")}, ledger, None)
    desk = MeterDesk(parts, CollectorRegistry())
    event = GridEvent("a", 500.0, T0, T0 + 7200.0, T0)
    desk.take(observation(T0, site_power=reading(1000.0, T0), events=(event,)))
    desk.close()
    store.close()
    ledger.close()
    return ledger.path, store.path


def changed(meter, statement, *values):
    with contextlib.closing(sqlite3.connect(meter)) as db, db:
        assert db.execute(statement, values).rowcount == 1


def test_what_the_desk_froze_fits_what_it_told(tmp_path):
    evidence, meter = begun(tmp_path)
    assert check_frozen(evidence, meter, 430.0) == FrozenFit(1, 0)


@pytest.mark.parametrize(("before", "after"), [("1000.0", "1900.0"), ("hour_before", "10_of_10"), ('"asked"', '"x"')])
def test_a_baseline_that_was_edited_is_named(tmp_path, before, after):
    evidence, meter = begun(tmp_path)
    changed(meter, "UPDATE baselines SET body = replace(body, ?, ?) WHERE instr(body, ?)", before, after, before)
    with pytest.raises(StoreError, match="the baseline of 'operator a' was changed after row 1 of the evidence"):
        check_frozen(evidence, meter, 430.0)


def test_a_baseline_that_is_no_json_any_more_was_changed(tmp_path):
    evidence, meter = begun(tmp_path)
    changed(meter, "UPDATE baselines SET body = '{'")
    with pytest.raises(StoreError, match="was changed"):
        check_frozen(evidence, meter, 430.0)


def test_a_baseline_that_was_deleted_is_named_unless_its_time_is_past(tmp_path):
    evidence, meter = begun(tmp_path)
    changed(meter, "DELETE FROM baselines")
    with pytest.raises(StoreError, match="the baseline of 'operator a' was removed"):
        check_frozen(evidence, meter, 430.0)
    changed(meter, "INSERT INTO minutes VALUES (?, 1.0, 60.0, 0, 0)", (T0 + 431 * 86_400) // 60)
    assert check_frozen(evidence, meter, 430.0) == FrozenFit(0, 1)


def test_a_store_that_is_gone_or_damaged_is_told(tmp_path):
    evidence, meter = begun(tmp_path)
    meter.write_bytes(b"no store " * 100)
    with pytest.raises(StoreError, match="not readable as a meter store"):
        check_frozen(evidence, meter, 430.0)
    meter.unlink()
    with pytest.raises(StoreError, match="is gone, and row 1 of the evidence tells of a baseline in it"):
        check_frozen(evidence, meter, 430.0)


def test_evidence_that_tells_of_no_baseline_asks_for_no_store(tmp_path):
    ledger = Ledger(tmp_path / "evidence.sqlite")
    ledger.record("baseline", 4.0, {"baseline": "of a version that told none"})
    ledger.close()
    assert check_frozen(ledger.path, tmp_path / "meter.sqlite", 430.0) == FrozenFit(0, 0)


def test_a_row_that_cannot_be_read_is_named(tmp_path):
    ledger = Ledger(tmp_path / "evidence.sqlite")
    ledger.record("baseline", 4.0, {"baseline": {"asked": 1}})
    ledger.close()
    with pytest.raises(StoreError, match="row 1 cannot be read"):
        check_frozen(ledger.path, tmp_path / "meter.sqlite", 430.0)
