import io
import json

import pytest

from controller.errors import StoreError
from controller.store.extract import check_extract, is_extract, read_extract, write_extract
from controller.store.ledger import Ledger
from controller.store.witness import Witness


@pytest.fixture
def made(tmp_path):
    """An extract of the calls of a ledger, from its third row on, and the ledger's hashes."""
    ledger = Ledger(tmp_path / "evidence.sqlite")
    hashes = {}
    for n in range(1, 9):
        ledger.record("call" if n % 3 == 0 else "tick", 100.0 + n, {"n": n})
        hashes[n] = ledger.head.hash
    ledger.close()
    path = tmp_path / "evening.jsonl"
    with path.open("w") as out:
        head = write_extract(ledger.path, out, 3, lambda row: row.kind == "call", "event x")
    assert (head.sequence, head.checked) == (8, 2)
    return path, hashes


def test_it_checks_itself_without_the_rows_that_are_left_out(made):
    path, hashes = made
    assert is_extract(path)
    checked = check_extract(path, [Witness("evidence.sqlite", n, hashes[n]) for n in (2, 5, 8)])
    assert (checked.head.sequence, checked.head.hash, checked.head.checked) == (8, hashes[8], 2)
    assert [each.sequence for each in checked.compared] == [2, 5, 8]
    assert (checked.first_time_s, checked.last_time_s) == (103.0, 106.0), "of the rows that it tells"
    assert [json.loads(row.payload)["n"] for row in read_extract(path)] == [3, 6]
    assert '{"n":4}' not in path.read_text()


def test_a_head_outside_of_it_is_not_comparable(made):
    assert [each.sequence for each in check_extract(made[0], [Witness("x", 1, "ab" * 32)]).gone] == [1]


def test_a_head_of_another_ledger_does_not_fit(made):
    with pytest.raises(StoreError, match="no extract of that ledger"):
        check_extract(made[0], [Witness("x", 5, "ab" * 32, told_by="--head")])


def test_every_byte_counts(made):
    """But for the words at its beginning that say what it is an extract of, which prove nothing."""
    path, _ = made
    lines = path.read_bytes().split(b"\n")
    begin = len(lines[0])
    body = path.read_bytes()
    start = body.index(b'"after"')
    places = [*range(start, body.index(b'"about"')), *range(begin + 1, body.index(b'"rows"') - 1)]
    for place in places:
        path.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        with pytest.raises(StoreError):
            check_extract(path)


@pytest.mark.parametrize("gone", [0, 1, 2, 3, 4])
def test_every_line_counts(made, gone):
    path, _ = made
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for n, line in enumerate(lines) if n != gone) + "\n")
    with pytest.raises(StoreError):
        check_extract(path)


@pytest.mark.parametrize("text", ["", "{}", "[]\n", '{"extract":1}\n', "{" * 10_000])
def test_what_is_no_extract_is_told(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(StoreError):
        check_extract(path)


def test_of_a_file_of_format_0_all_rows_are_told(tmp_path):
    ledger = Ledger(tmp_path / "old.sqlite")
    ledger._db.execute("PRAGMA user_version=0")
    ledger.close()
    old = Ledger(ledger.path)
    old.record("tick", 1.0, {})
    old.close()
    out = io.StringIO()
    write_extract(old.path, out, 1, lambda row: False, "x")
    path = tmp_path / "x.jsonl"
    path.write_text(out.getvalue())
    assert check_extract(path).head.checked == 1
