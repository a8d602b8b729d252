import hashlib
import json
import sqlite3
import threading

import pytest

from controller.errors import StoreError
from controller.store.chain import TRIM_KIND
from controller.store.ledger import Ledger, Retention, verify_file
from controller.store.ledger_check import Verdict


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
        ("""UPDATE records SET payload = '{"n":99}' WHERE sequence = 3""", "row 3 of kind 'sample' was changed"),
        ("UPDATE records SET time_s = 0 WHERE sequence = 2", "row 2 of kind 'decision' was changed"),
        ("UPDATE records SET kind = 'x' WHERE sequence = 4", "row 4 of kind 'x' was changed"),
        ("UPDATE records SET hash = 'x' WHERE sequence = 5", "row 5 .* was changed"),
        ("DELETE FROM records WHERE sequence = 3", "row 3 is missing, 4 follows"),
        ("DELETE FROM records WHERE sequence = 1", "row 1 is missing"),
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


def test_retention_keeps_the_newest_and_the_chain_and_tells_so(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 5)
    ledger = Ledger(path, keep_records=3)
    for n in range(9):
        ledger.record("sample", float(n), {"n": n})
    assert [r.payload["n"] for r in ledger.records("sample")] == [6, 7, 8]
    (told,) = ledger.records(TRIM_KIND)
    assert told.payload["up_to"] == 7
    assert told.payload["reason"] == "the newest 3 rows are kept"
    assert (ledger.verify().sequence, ledger.verify().checked, ledger.verify().trimmed) == (11, 4, 7)
    ledger.close()
    again = filled(path, 1)
    assert (again.verify().sequence, again.verify().checked) == (12, 5)
    again.close()


def test_retention_by_age_and_by_size(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 50)
    ledger = Ledger(path, retention=Retention(days=1.0))
    for n in range(50):
        ledger.record("sample", 4000.0 * n, {"n": n})
    assert ledger.records("sample")[0].time_s >= 49 * 4000.0 - 86_400.0
    assert ledger.records(TRIM_KIND)[0].payload["reason"] == "rows are kept for 1 days"
    ledger.close()
    small = Ledger(path.with_name("small.sqlite"), retention=Retention(size_bytes=400_000))
    for n in range(1000):
        small.record("sample", float(n), {"x": "y" * 1000})
    assert small.verify().checked < 400
    assert small.path.stat().st_size < 800_000
    assert "larger than 400000 bytes" in small.records(TRIM_KIND)[0].payload["reason"]
    small.close()


def test_a_trim_that_fails_removes_nothing(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 5)
    ledger = Ledger(path, keep_records=3)
    ledger._db.execute("CREATE TRIGGER stuck BEFORE DELETE ON records BEGIN SELECT RAISE(FAIL, 'stuck'); END")
    for n in range(4):
        ledger.record("sample", float(n), {"n": n})
    with pytest.raises(StoreError, match="stuck"):
        ledger.record("sample", 4.0, {"n": 4})
    assert (ledger.verify().checked, ledger.records(TRIM_KIND)) == (5, [])
    ledger._db.execute("DROP TRIGGER stuck")
    ledger.record("sample", 5.0, {"n": 5})
    assert ledger.verify().checked == 6
    ledger.close()


def test_a_file_of_format_0_goes_on_by_its_own_rule(path):
    """As versions before 0.6 have written them."""
    path.parent.mkdir()
    ledger = Ledger(path)
    ledger._db.execute("PRAGMA user_version=0")
    ledger.close()
    old = filled(path, 3)
    db = sqlite3.connect(path)
    ((time_s, kind, payload, stored),) = db.execute("SELECT time_s, kind, payload, hash FROM records LIMIT 1")
    db.close()
    row = json.dumps([1, time_s, kind, payload], separators=(",", ":"))
    assert stored == hashlib.sha256(("0" * 64 + row).encode()).hexdigest()
    assert old.verify().checked == 3
    old.close()
    tamper(path, "UPDATE records SET time_s = 1 WHERE sequence = 2")
    with pytest.raises(StoreError, match="row 2 of kind"):
        verify_file(path)


def test_a_file_of_a_later_format_is_left_alone(path):
    filled(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=9")
    db.close()
    with pytest.raises(StoreError, match="of format 9"):
        Ledger(path)
    with pytest.raises(StoreError, match="of format 9"):
        verify_file(path)


def test_another_hand_in_the_file_is_told(path):
    ledger = filled(path)
    db = sqlite3.connect(path)
    db.execute("INSERT INTO records VALUES (6, 1.0, 'sample', '{}', 'x')")
    db.commit()
    db.close()
    with pytest.raises(StoreError, match="another hand has written to the file"):
        ledger.record("sample", 1.0, {})
    ledger.close()


def test_a_head_that_was_kept_is_compared_without_reading_all(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 5)
    ledger = Ledger(path, keep_records=3)
    heads = []
    for n in range(7):
        ledger.record("sample", float(n), {"n": n})
        heads.append(ledger.head)
    compared = [ledger.compare(head.sequence, head.hash) for head in heads]
    assert compared == [Verdict.GONE, Verdict.FITS, *[Verdict.FITS] * 5]
    assert ledger.compare(99, "x") is Verdict.CUT
    assert ledger.compare(7, "x") is Verdict.DIFFERS
    ledger.close()


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
    with pytest.raises(StoreError, match="file is not a database"):
        verify_file(path)
    with pytest.raises(StoreError, match="no such ledger"):
        verify_file(tmp_path / "absent")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"choose another controller\.data_dir"):
        Ledger(tmp_path / "file" / "ledger.sqlite")
