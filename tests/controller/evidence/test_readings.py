import pytest

from controller.errors import StoreError
from controller.evidence.readings import check_meter, told_of_readings
from controller.store.ledger import Ledger
from controller.store.readings import Fit, as_told


def test_days_and_what_baselines_were_made_of_are_told(tmp_path):
    ledger = Ledger(tmp_path / "evidence.sqlite")
    ledger.record("meter_day", 1.0, as_told(0.0, 3600.0, ("a",), is_measured_only=True))
    ledger.record("tick", 2.0, {})
    ledger.record("baseline", 3.0, {"readings": [as_told(0.0, 7200.0, ("b", "c"), is_measured_only=False)]})
    ledger.record("baseline", 4.0, {"baseline": "of a version that told none"})
    ledger.close()
    first, second = told_of_readings(ledger.path)
    assert (first.row, first.hours, first.is_measured_only) == (1, ("a",), True)
    assert (second.row, second.hours) == (3, ("b", "c"))
    with pytest.raises(StoreError, match="row 1 of the evidence tells of readings in it"):
        check_meter(ledger.path, tmp_path / "meter.sqlite", 430.0)


def test_evidence_that_tells_of_none_asks_for_no_meter(tmp_path):
    ledger = Ledger(tmp_path / "evidence.sqlite")
    ledger.close()
    assert check_meter(ledger.path, tmp_path / "meter.sqlite", 430.0) == Fit(0, 0)


def test_a_row_that_cannot_be_read_is_named(tmp_path):
    ledger = Ledger(tmp_path / "evidence.sqlite")
    ledger.record("meter_day", 1.0, {"from_s": 1.0})
    ledger.close()
    with pytest.raises(StoreError, match="row 1 cannot be read: KeyError"):
        list(told_of_readings(ledger.path))
