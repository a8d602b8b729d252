import json
import sqlite3

import pytest

from controller.errors import StoreError
from controller.store.chain import TRIM_KIND, Row, chain
from controller.store.ledger import Ledger, Retention
from controller.store.ledger_check import check_file
from controller.store.retention_check import check_trims, payload_of, read_trim
from controller.store.witness import seal, witnessed

KEY = b"0123456789abcdef"
DAY_S = 86_400.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "evidence.sqlite"


def written(path, count, key=KEY, **retention):
    """A row a day; of each the head as it was told then."""
    ledger = Ledger(path, retention=Retention(**retention), key=key)
    heads = []
    for day in range(count):
        ledger.record("tick", day * DAY_S, {"day": day})
        heads.append(witnessed(path.name, ledger.head, day * DAY_S + 60.0, key))
    ledger.close()
    return heads


def cut_off(path, up_to, now_s, rule, mac=None):
    """What one does who may write the file and has read how retention tells itself."""
    with sqlite3.connect(path) as db:
        for trigger in ("records_keep", "records_stay"):
            db.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        (up_to_hash,) = db.execute("SELECT hash FROM records WHERE sequence = ?", (up_to,)).fetchone()
        sequence, last = db.execute("SELECT sequence, hash FROM records ORDER BY sequence DESC LIMIT 1").fetchone()
        told = payload_of(path.name, up_to, up_to_hash, rule, None) | ({} if mac is None else {"mac": mac})
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        hashed = chain(last, sequence + 1, now_s, TRIM_KIND, text)
        db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (sequence + 1, now_s, TRIM_KIND, text, hashed))
        db.execute("UPDATE trimmed SET sequence = ?, hash = ?", (up_to, up_to_hash))
        db.execute("DELETE FROM records WHERE sequence <= ?", (up_to,))
    db.close()


def test_retention_itself_verifies_with_all_the_heads_that_were_kept(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 10)
    heads = written(path, 40, days=5.0)
    checked = check_file(path, heads, key=KEY)
    assert checked.head.trimmed > 20
    assert (checked.retention.up_to, checked.retention.reason) == (checked.head.trimmed, "rows are kept for 5 days")
    assert len(checked.gone) + len(checked.compared) == 40


def test_retention_by_number_and_by_size_verifies_too(tmp_path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 10)
    for name, rule in (("a.sqlite", {"records": 7}), ("b.sqlite", {"size_bytes": 30_000})):
        heads = written(tmp_path / name, 200, **rule)
        assert check_file(tmp_path / name, heads, key=KEY).head.trimmed > 0


def test_a_beginning_that_is_cut_off_as_if_by_retention_is_found_by_heads_that_were_kept(path):
    heads = written(path, 40, key=None, days=1100.0)
    cut_off(path, 20, 40 * DAY_S, ("days", 1100.0))
    with pytest.raises(StoreError, match="row 41 tells that rows are kept for 1100 days, and yet rows") as caught:
        check_file(path, heads)
    assert "to 20 are gone, which were written after 1970-01-" in str(caught.value)


def test_a_rule_of_numbers_is_held_against_the_numbers(path):
    written(path, 40, key=None, records=30)
    cut_off(path, 20, 40 * DAY_S, ("records", 30.0))
    with pytest.raises(
        StoreError, match="row 41 tells that the newest 30 rows are kept, and yet rows up to 20 are gone"
    ):
        check_file(path)


def test_whatever_rule_is_told_without_the_key_there_is_no_seal(path):
    heads = written(path, 40, size_bytes=10_000_000)
    cut_off(path, 20, 40 * DAY_S, ("size_bytes", 1000.0))
    assert check_file(path, heads).retention.reason == "the file is larger than 1000 bytes"  # so far only told
    with pytest.raises(StoreError, match="row 41, which tells of rows up to 20 removed, is not sealed by the key"):
        check_file(path, heads, key=KEY)


def test_the_seal_of_a_head_is_none_of_retention(path):
    heads = written(path, 40, size_bytes=10_000_000)
    cut_off(path, 20, 40 * DAY_S, ("size_bytes", 1000.0), mac=seal(KEY, path.name, 20, heads[19].hash))
    with pytest.raises(StoreError, match="is not sealed by the key"):
        check_file(path, heads, key=KEY)


def test_what_was_removed_before_there_was_a_key_needs_no_seal(path, monkeypatch):
    monkeypatch.setattr("controller.store.ledger._TRIM_EVERY", 10)
    written(path, 40, key=None, days=5.0)
    with_key = Ledger(path, key=KEY)
    with_key.record("tick", 41 * DAY_S, {})
    head = witnessed(path.name, with_key.head, 41 * DAY_S, KEY)
    with_key.close()
    assert check_file(path, [head], key=KEY).retention.mac is None


def test_records_of_versions_that_told_no_rule_are_taken_as_they_are():
    row = Row(5, 1.0, TRIM_KIND, '{"hash":"ab","reason":"old","up_to":3}', "")
    assert check_trims([row], (), None).reason == "old"
    assert check_trims([], (), None) is None


@pytest.mark.parametrize("payload", ["[]", "{}", '{"up_to":"x"}', '{"up_to":1,"rule":[]}', "3"])
def test_what_is_no_record_of_retention_is_told(payload):
    with pytest.raises(StoreError, match="row 5 is no record of retention"):
        read_trim(Row(5, 1.0, TRIM_KIND, payload, ""))
