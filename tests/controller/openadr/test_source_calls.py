import logging

import pytest

from controller.errors import MessageError, StoreError
from controller.openadr.source_calls import SourceCalls


class Book:
    """A book that refuses what it is told to, and notes the rest."""

    def __init__(self, **errors):
        self.errors, self.told = errors, []

    def submit(self, call, now_s, *, raw=""):
        self._take(call, raw)

    def cancel(self, source, call_id, now_s, *, modified_s=None, reason=""):
        self._take(call_id, source, reason)

    def _take(self, name, *told):
        if name in self.errors:
            raise self.errors[name]
        self.told.append((name, *told))


def test_a_call_that_is_not_taken_says_why():
    calls = SourceCalls("openadr:utility", book := Book(bad=MessageError("event", "no limit")))
    assert calls.submit("good", "{}", 1.0) is None
    assert "no limit" in str(calls.submit("bad", "{}", 1.0))
    assert book.told == [("good", "{}")]


def test_one_that_cannot_be_recorded_keeps_no_other_from_its_end(caplog):
    calls = SourceCalls("openadr:utility", book := Book(a=StoreError("the disk is full")))
    with caplog.at_level(logging.ERROR):
        assert calls.cancel(["a", "b"], 1.0, None, "over") is False
    assert book.told == [("b", "openadr:utility", "over")]
    assert [(record.call_id, record.reason) for record in caplog.records] == [("a", "the disk is full")]
    assert calls.cancel(["b"], 1.0, None, "over") is True


def test_a_fault_of_another_kind_is_not_hidden():
    with pytest.raises(KeyError):
        SourceCalls("openadr:utility", Book(a=KeyError("a"))).submit("a", "{}", 1.0)
