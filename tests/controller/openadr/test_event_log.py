import logging

import pytest

from controller.openadr import event_log
from controller.openadr.event_log import EventLog
from controller.openadr.events import Meaning


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.INFO):
        yield EventLog("openadr:utility")


def test_a_refusal_is_counted_and_told_with_its_reason(log, caplog):
    log.refuse("e-1", "no limit")
    (record,) = caplog.records
    assert (record.source, record.event_id, record.reason, log.refused) == ("openadr:utility", "e-1", "no limit", 1)


def test_what_has_no_id_is_told_once_and_few_are_remembered(log, monkeypatch):
    monkeypatch.setattr(event_log, "MAX_NAMELESS", 2)
    for digest in (b"a", b"a", b"b", b"c", b"a"):
        log.refuse_nameless(digest, "no id")
    assert log.refused == 4, "a was forgotten as c came"


def test_payloads_are_counted_by_type_once_an_event_and_strange_ones_together(log):
    before, after = Meaning(ignored=("CURVE",)), Meaning(ignored=("CURVE", "SIMPLE that asks for more load", "X-1"))
    log.tell_new("e-1", before, Meaning())
    log.tell_new("e-1", after, before)
    assert log.ignored == {"CURVE": 1, "SIMPLE": 1, "other": 1}
