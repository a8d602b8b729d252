import logging

import pytest
from prometheus_client import CollectorRegistry

from controller.loop.heads_desk import TELL_S, HeadsDesk, HeadsParts
from controller.store import witness
from controller.store.ledger import Ledger
from controller.store.state import StateFile
from controller.store.witness import is_sealed, metric_of

KEY = b"0123456789abcdef"


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.sqlite")
    made.record("sample", 1.0, {})
    yield made
    made.close()


def desk_of(ledger, **parts):
    registry = CollectorRegistry()
    return HeadsDesk(HeadsParts({"ledger.sqlite": ledger}, **parts), registry), registry


def value(registry, name):
    return registry.get_sample_value(f"wattroute_controller_{name}", {"ledger": "ledger.sqlite"})


def test_heads_are_shown_and_told_once_an_hour(ledger, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    desk, registry = desk_of(ledger, key=KEY, file=tmp_path / "elsewhere" / "heads.jsonl")
    for now_s in (0.0, 1.0, TELL_S, TELL_S + 1.0):
        desk.take(now_s)
    assert [record.message for record in caplog.records].count("ledger head") == 2
    assert (value(registry, "ledger_sequence"), value(registry, "ledger_head")) == (1, metric_of(ledger.head.hash))
    ledger.record("sample", 2.0, {})
    desk.close(TELL_S + 2.0)
    told = witness.of_file(tmp_path / "elsewhere" / "heads.jsonl").witnesses
    assert [each.sequence for each in told][-1] == 2
    assert all(is_sealed(each, KEY) for each in told)


def test_a_ledger_that_was_cut_while_no_controller_ran_is_told_at_the_start(ledger, tmp_path, caplog):
    desk, registry = desk_of(ledger)
    StateFile(tmp_path / "state.json").save(heads=desk.heads(1.0))
    desk.compare(tmp_path / "state.json")
    assert value(registry, "ledger_fits") == 1
    shorter = Ledger(tmp_path / "other.sqlite")
    desk, registry = desk_of(shorter)
    desk.compare(tmp_path / "state.json")
    assert value(registry, "ledger_fits") == 0
    assert "ledger does not fit the head that was kept of it" in caplog.text
    shorter.close()


def test_a_state_file_that_cannot_be_read_is_told_and_nothing_else(ledger, tmp_path, caplog):
    (tmp_path / "state.json").write_text("x")
    desk, registry = desk_of(ledger)
    desk.compare(tmp_path / "state.json")
    assert "ledgers not compared" in caplog.text
    assert value(registry, "ledger_fits") == 1


def test_a_place_that_cannot_be_written_stops_nothing(ledger, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    desk, _ = desk_of(ledger, file=tmp_path / "file" / "heads")
    desk.take(0.0)
    desk.close(1.0)
    assert "ledger heads not kept elsewhere" in caplog.text
