import sqlite3

import pytest

from controller.errors import StoreError
from controller.store.ledger import Ledger
from controller.store.patient import PatientLedger


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def locked(ledger):
    """Another hand that holds the file."""
    db = sqlite3.connect(ledger.path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    return db


def fails(patient, *numbers):
    for n in numbers:
        with pytest.raises(StoreError, match="not written"):
            patient.record("sample", float(n), {"n": n})


def kept(ledger):
    return [(record.kind, record.payload.get("n", record.payload.get("lost"))) for record in ledger.records()]


def test_records_wait_for_a_file_that_is_locked(ledger):
    patient = PatientLedger(ledger, max_waiting=3)
    db = locked(ledger)
    fails(patient, 1, 2)
    assert patient.waiting == 2
    db.close()
    patient.record("sample", 3.0, {"n": 3})
    assert kept(ledger) == [("sample", 1), ("sample", 2), ("sample", 3)]
    assert ledger.records()[0].time_s == 1.0
    assert (patient.waiting, patient.lost) == (0, 0)


def test_what_is_given_up_is_told_as_a_gap_once_it_goes_on(ledger):
    patient = PatientLedger(ledger, max_waiting=1)
    db = locked(ledger)
    fails(patient, 1, 2)
    db.close()
    patient.record("sample", 3.0, {"n": 3})
    assert kept(ledger) == [("gap", 1), ("sample", 2), ("sample", 3)]
    gap = ledger.records("gap")[0].payload
    assert (gap["from_s"], gap["until_s"], patient.lost) == (1.0, 1.0, 1)
    assert "locked" in gap["reason"]
    assert ledger.verify().checked == 3


def test_without_room_to_wait_nothing_is_written_late(ledger):
    """A call that could not be recorded was refused: it must not stand in the ledger afterwards."""
    patient = PatientLedger(ledger)
    db = locked(ledger)
    fails(patient, 1)
    db.close()
    patient.record("sample", 2.0, {"n": 2})
    assert kept(ledger) == [("gap", 1), ("sample", 2)]


def test_what_has_no_json_form_never_waits(ledger):
    patient = PatientLedger(ledger, max_waiting=3)
    with pytest.raises(StoreError, match="no JSON form"):
        patient.record("sample", 1.0, {"n": float("nan")})
    patient.record("sample", 2.0, {"n": 2})
    assert kept(ledger) == [("sample", 2)]
