from datetime import timedelta

import pytest

from controller.model.programme import Programme
from controller.openadr2.events_desk import OPT_IN, OPT_OUT, EventDesk2
from controller.signals.calls import CallBook
from tests.controller.openadr2.test_events import KW, SPEC, START_S, USD, event, signal
from tests.fakes.controller_parts import ListRecorder

NOW_S = START_S - 600.0
CAP = signal("LOAD_DISPATCH", "setpoint", (12.0,), KW)


@pytest.fixture
def book():
    return CallBook(ListRecorder(), {"dr": Programme("dr", least_w=5000.0)})


def live(book, now_s=NOW_S):
    return [view.call.call_id for view in book.calls(now_s) if view.cancelled_s is None]


def test_an_event_is_followed_changed_and_cancelled(book):
    desk = EventDesk2(SPEC, book)
    assert desk.take(event(CAP), "ven-1", NOW_S) == OPT_IN
    assert live(book) == ["e1"]
    lower = signal("LOAD_DISPATCH", "setpoint", (9.0,), KW)
    assert desk.take(event(lower, modification_number=1), "ven-1", NOW_S + 1) == OPT_IN
    assert book.calls(NOW_S + 1)[0].call.intervals[0].commitment.value == 9000.0
    assert desk.take(event(CAP), "ven-1", NOW_S + 2) == OPT_IN  # the older form, late
    assert book.calls(NOW_S + 2)[0].call.intervals[0].commitment.value == 9000.0
    assert desk.take(event(CAP, modification_number=2, event_status="cancelled"), "ven-1", NOW_S + 3) == OPT_IN
    assert live(book, NOW_S + 3) == []


def test_what_cannot_be_followed_is_opted_out_of_and_changes_nothing(book, caplog):
    desk = EventDesk2(SPEC, book)
    assert desk.take(event(market_context="http://other"), "ven-1", NOW_S) == OPT_OUT
    assert desk.take(event(signal("LOAD_CONTROL", "x-loadControlCapacity")), "ven-1", NOW_S) == OPT_OUT
    assert desk.take(event(CAP, targets={"ven_id": ["ven-9"]}), "ven-1", NOW_S) == OPT_OUT
    assert live(book) == []
    assert "event refused" in caplog.text


def test_prices_are_told_by_the_latest_event(book):
    desk = EventDesk2(SPEC, book)
    price = signal("ELECTRICITY_PRICE", "price", (0.2,), USD)
    assert desk.take(event(price), "ven-1", NOW_S) == OPT_IN
    later = signal("ELECTRICITY_PRICE", "price", (0.3,), USD)
    desk.take(event(later, event_id="e2", modification_number=5), "ven-1", NOW_S)
    (span,) = desk.spans("price_usd_per_mwh")
    assert span.value == 300.0
    assert span.end_s - span.start_s == timedelta(minutes=10).total_seconds()
    assert desk.spans("carbon_kg_per_mwh") == ()
