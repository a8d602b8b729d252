import sqlite3
import threading

import pytest

from controller.errors import StoreError
from controller.store.ledger import Ledger, verify_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "ledger.sqlite"


def filled(path, count=5):
    ledger = Ledger(path)
    for n in range(count):
        ledger.record("decision" if n % 2 else "sample", 100.0 + n, {"n": n, "text": "é"})
    return ledger


def tamper(path, statement):
    db = sqlite3.connect(path)
    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {name}")
    db.execute(statement)
    db.commit()
    db.close()


def test_records_come_back_in_their_order(path):
    ledger = filled(path)
    assert [(r.sequence, r.time_s, r.payload["n"]) for r in ledger.records()] == [
        (n + 1, 100.0 + n, n) for n in range(5)
    ]
    assert [r.payload["n"] for r in ledger.records("decision")] == [1, 3]
    assert [r.payload["n"] for r in ledger.records(last=2)] == [3, 4]
    ledger.close()


def test_a_whole_chain_verifies_and_goes_on_after_reopening(path):
    ledger = filled(path)
    head = ledger.verify()
    assert (head.sequence, head.checked) == (5, 5)
    ledger.close()
    again = filled(path, 1)
    assert again.verify().sequence == 6
    again.close()
    assert verify_file(path).checked == 6


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("""UPDATE records SET payload = '{"n":99}' WHERE sequence = 3""", "record 3 of kind 'sample' was changed"),
        ("UPDATE records SET time_s = 0 WHERE sequence = 2", "record 2 of kind 'decision' was changed"),
        ("UPDATE records SET kind = 'x' WHERE sequence = 4", "record 4 of kind 'x' was changed"),
        ("UPDATE records SET hash = 'x' WHERE sequence = 5", "record 5 .* was changed"),
        ("DELETE FROM records WHERE sequence = 3", "record 3 is missing, 4 follows"),
        ("DELETE FROM records WHERE sequence = 1", "record 1 is missing"),
    ],
)
def test_a_tampered_row_is_found(path, statement, told):
    filled(path).close()
    tamper(path, statement)
    with pytest.raises(StoreError, match=told):
        verify_file(path)


@pytest.mark.parametrize("statement", ["UPDATE records SET kind = 'x'", "DELETE FROM records"])
def test_changes_by_accident_are_refused_by_the_file_itself(path, statement):
    filled(path).close()
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


def test_retention_keeps_the_newest_and_the_chain(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 5)
    ledger = Ledger(path, keep_records=3)
    for n in range(10):
        ledger.record("sample", float(n), {"n": n})
    assert [r.payload["n"] for r in ledger.records()] == [7, 8, 9]
    assert (ledger.verify().sequence, ledger.verify().checked) == (10, 3)
    ledger.close()
    again = filled(path, 1)
    assert (again.verify().sequence, again.verify().checked) == (11, 4)
    again.close()


def test_one_writer_at_a_time(path):
    first = filled(path)
    with pytest.raises(StoreError, match="another controller writes it"):
        Ledger(path)
    assert verify_file(path).checked == 5  # reading is free
    first.close()
    Ledger(path).close()


def test_several_threads_write_one_chain(path):
    ledger = Ledger(path)
    threads = [
        threading.Thread(target=lambda: [ledger.record("sample", 0.0, {"n": n}) for n in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify().checked == 200
    ledger.close()


@pytest.mark.parametrize("payload", [{"x": object()}, {"x": float("nan")}])
def test_what_has_no_json_form_is_refused_and_breaks_nothing(path, payload):
    ledger = Ledger(path)
    with pytest.raises(StoreError, match="no JSON form"):
        ledger.record("sample", 0.0, payload)
    ledger.record("sample", 0.0, {})
    assert ledger.verify().checked == 1
    ledger.close()


def test_a_record_has_a_largest_size(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger.MAX_PAYLOAD_BYTES", 100)
    ledger = Ledger(path)
    with pytest.raises(StoreError, match="more than 100"):
        ledger.record("sample", 0.0, {"x": "y" * 200})
    ledger.close()


def test_a_file_that_is_no_ledger(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("this is not a database, but long enough to be taken for one " * 20)
    with pytest.raises(StoreError, match="not usable as a ledger"):
        Ledger(path)
    with pytest.raises(StoreError, match="not readable as a ledger"):
        verify_file(path)
    with pytest.raises(StoreError, match="no such ledger"):
        verify_file(tmp_path / "absent")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"choose another controller\.data_dir"):
        Ledger(tmp_path / "file" / "ledger.sqlite")
