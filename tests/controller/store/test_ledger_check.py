"""Whatever is done to a ledger's rows is found."""

import shutil
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import StoreError
from controller.store.chain import GENESIS, Head, chain
from controller.store.ledger import Ledger
from controller.store.ledger_check import check, check_file, opened, rows_of
from controller.store.witness import Witness, witnessed

COUNT = 6
KEY = b"0123456789abcdef"
COLUMNS = ("time_s", "kind", "payload", "hash")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A ledger of six rows, and the head that was kept elsewhere."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite"
    ledger = Ledger(path)
    for n in range(COUNT):
        ledger.record(("sample", "decision", "call")[n % 3], 1000.0 + n, {"n": n, "text": f"é{n}"})
    head = ledger.head
    ledger.close()
    return path, witnessed(path.name, head, 1.0, KEY)


class Meddler:
    """Changes rows behind the ledger's back, and undoes it."""

    def __init__(self, path):
        self.path = path
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("DROP TRIGGER IF EXISTS records_keep")
        self.db.execute("DROP TRIGGER IF EXISTS records_stay")

    def finds(self, *statements, witnesses=()):
        self.db.execute("BEGIN")
        try:
            for statement in statements:
                self.db.execute(*statement)
            with pytest.raises(StoreError) as told:
                check(self.db, self.path, witnesses)
        finally:
            self.db.execute("ROLLBACK")
        return str(told.value)


@pytest.fixture
def meddler(whole, tmp_path):
    path = tmp_path / "ledger.sqlite"
    shutil.copy(whole[0], path)
    made = Meddler(path)
    check(made.db, path, [whole[1]], key=KEY)
    yield made
    made.db.close()


def test_every_bit_of_every_cell_counts(meddler):
    flips = 0
    for sequence, *cells in meddler.db.execute("SELECT sequence, time_s, kind, payload, hash FROM records").fetchall():
        for column, cell in zip(COLUMNS[1:], cells[1:], strict=True):
            body = cell.encode()
            for place in range(len(body)):
                changed = body[:place] + bytes([body[place] ^ 1 << (place % 8)]) + body[place + 1 :]
                statement = f"UPDATE records SET {column} = CAST(? AS TEXT) WHERE sequence = ?"
                meddler.finds((statement, (changed, sequence)))
                flips += 1
        for time_s in (cells[0] + 1e-6, -cells[0], 0.0):
            meddler.finds(("UPDATE records SET time_s = ? WHERE sequence = ?", (time_s, sequence)))
    assert flips > 500


def test_every_deletion_and_every_exchange_is_found(meddler):
    for sequence in range(1, COUNT):
        meddler.finds(("DELETE FROM records WHERE sequence = ?", (sequence,)))
    for a in range(1, COUNT + 1):
        for b in range(a + 1, COUNT + 1):
            steps = ((a, -1), (b, a), (-1, b))
            moved = [("UPDATE records SET sequence = ? WHERE sequence = ?", (to, was)) for was, to in steps]
            meddler.finds(*moved)


def test_every_insertion_is_found(meddler):
    for place in range(2, COUNT + 1):
        shift = ("UPDATE records SET sequence = -sequence WHERE sequence >= ?", (place,))
        back = ("UPDATE records SET sequence = 1 - sequence WHERE sequence < 0",)
        (before,) = meddler.db.execute("SELECT hash FROM records WHERE sequence = ?", (place - 1,)).fetchone()
        forged = chain(before, place, 1.0, "sample", "{}")
        put = ("INSERT INTO records VALUES (?, 1.0, 'sample', '{}', ?)", (place, forged))
        assert "was changed" in meddler.finds(shift, back, put)


def test_every_cut_is_found_by_the_head_that_was_kept(whole, meddler):
    for kept in range(COUNT):
        told = meddler.finds(("DELETE FROM records WHERE sequence > ?", (kept,)), witnesses=[whole[1]])
        assert f"ends at row {kept}" in told


def test_a_beginning_that_was_cut_off_is_no_retention(meddler):
    for cut in range(1, COUNT + 1):
        mark = "UPDATE trimmed SET sequence = ?1, hash = (SELECT hash FROM records WHERE sequence = ?1)"
        told = meddler.finds((mark, (cut,)), ("DELETE FROM records WHERE sequence <= ?", (cut,)))
        assert f"rows up to {cut} are gone" in told


def test_a_file_made_anew_as_a_whole_is_found_by_the_head_that_was_kept(whole, meddler):
    rows = meddler.db.execute("SELECT sequence, time_s, kind, payload FROM records ORDER BY sequence").fetchall()
    for forged in range(1, COUNT + 1):
        previous, statements = GENESIS, []
        for sequence, time_s, kind, payload in rows:
            body = payload if sequence != forged else payload.replace('"n"', '"m"')
            previous = chain(previous, sequence, time_s, kind, body)
            statements.append(
                ("UPDATE records SET payload = ?, hash = ? WHERE sequence = ?", (body, previous, sequence))
            )
        assert "made anew" in meddler.finds(*statements, witnesses=[whole[1]])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET payload = CAST(payload AS BLOB) WHERE sequence = 2",
        "UPDATE records SET kind = x'ff' WHERE sequence = 2",
        "UPDATE records SET time_s = 9e999 WHERE sequence = 2",
        "DELETE FROM trimmed",
        "UPDATE trimmed SET hash = 'x'",
        "UPDATE trimmed SET sequence = 'x'",
        "DROP TABLE records",
        "UPDATE records SET kind = CAST(x'ff' AS TEXT) WHERE sequence = 2",
    ],
)
def test_what_no_ledger_has_written_is_told(meddler, statement):
    meddler.finds((statement,))


@settings(max_examples=150)
@given(data=st.data())
def test_a_byte_of_the_file_changed_anywhere_is_found_or_changes_nothing(whole, tmp_path_factory, data):
    body = bytearray(whole[0].read_bytes())
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("flipped") / "ledger.sqlite"
    path.write_bytes(body)
    with opened(whole[0]) as db:
        written = list(rows_of(db))
    try:
        check_file(path, [whole[1]], key=KEY)
    except StoreError:
        return
    with opened(path) as db:
        assert list(rows_of(db)) == written


def test_an_older_copy_is_found(tmp_path):
    path, copy = tmp_path / "ledger.sqlite", tmp_path / "older"
    ledger = Ledger(path)
    ledger.record("sample", 1.0, {})
    ledger.close()
    shutil.copy(path, copy)
    ledger = Ledger(path)
    ledger.record("sample", 2.0, {})
    kept = witnessed(path.name, ledger.head, 2.0, None)
    ledger.close()
    assert check_file(path, [kept]).compared == (kept,)
    shutil.copy(copy, path)
    with pytest.raises(StoreError, match="replaced by an older copy"):
        check_file(path, [kept])


def test_a_forged_head_is_told_by_its_seal(whole):
    path, kept = whole
    forged = Witness(kept.ledger, kept.sequence, kept.hash, kept.time_s, "0" * 64, "heads.jsonl")
    check_file(path, [forged])
    with pytest.raises(StoreError, match=r"heads\.jsonl: the head 6 .* is not sealed by the key"):
        check_file(path, [forged], key=KEY)


def test_the_index_by_which_kinds_are_read_is_checked_too(meddler):
    meddler.db.execute("PRAGMA writable_schema=ON")
    meddler.db.execute("UPDATE sqlite_master SET sql = replace(sql, 'kind, sequence', 'payload, sequence')"
                       " WHERE name = 'records_by_kind'")  # fmt: skip
    meddler.db.close()
    with pytest.raises(StoreError, match="damaged"):
        check_file(meddler.path)
    meddler.db = sqlite3.connect(meddler.path)


def test_nothing_is_made_beside_a_file_that_is_only_read(whole, tmp_path):
    path = tmp_path / "ledger.sqlite"
    shutil.copy(whole[0], path)
    checked = check_file(path)
    assert checked.head == Head(COUNT, whole[1].hash, COUNT)
    assert (checked.first_time_s, checked.last_time_s) == (1000.0, 1005.0)
    assert [each.name for each in tmp_path.iterdir()] == ["ledger.sqlite"]


def test_it_is_checked_while_it_is_written(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for n in range(3):
        ledger.record("sample", float(n), {})
        assert check_file(ledger.path).head.sequence == n + 1
    with opened(ledger.path) as db:
        ledger.record("sample", 4.0, {})
        assert check(db, ledger.path).head.sequence == 3
    ledger.close()


def test_heads_older_than_what_is_kept_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 5)
    ledger = Ledger(tmp_path / "ledger.sqlite", keep_records=2)
    kept = []
    for n in range(6):
        ledger.record("sample", float(n), {})
        kept.append(witnessed("ledger.sqlite", ledger.head, float(n), None))
    ledger.close()
    checked = check_file(ledger.path, kept)
    assert [each.sequence for each in checked.gone] == [1, 2]
    assert [each.sequence for each in checked.compared] == [3, 4, 6, 7]
