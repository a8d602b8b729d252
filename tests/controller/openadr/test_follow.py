from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import StoreError
from controller.grid.admit import MAX_SKEW_S
from controller.openadr.draws import Draws
from controller.openadr.events import Span, Terms
from controller.openadr.follow import EventDesk
from controller.openadr.followed import event_of
from controller.openadr.report_queue import ReportQueue
from tests.controller.openadr.test_messages_read import EVENT, anything
from tests.controller.openadr.test_schedule import AT_FIVE, FIVE
from tests.fakes.vtn.server import interval

TERMS = Terms("openadr:utility", "dr", frozenset(("group-1",)))
NONE = frozenset()


class Notes:
    """A book that notes what it is told."""

    def __init__(self):
        self.submitted, self.cancelled = [], []

    def submit(self, call, now_s, *, raw=""):
        self.submitted.append(call)
        return call

    def cancel(self, source, call_id, now_s, *, modified_s=None, reason=""):
        self.cancelled.append(call_id)


def desk():
    notes = Notes()
    return EventDesk("openadr:utility", notes, Draws(1)), notes


def event(*intervals, **fields):
    period = {"start": AT_FIVE, "duration": "PT1H"}
    return {"id": "e-1", "programID": "p", "intervals": list(intervals), "intervalPeriod": period} | fields


def test_what_is_heard_again_is_not_submitted_again():
    own, notes = desk()
    for later_s in range(3):
        assert own.take(event(interval(0, "SIMPLE", 1)), TERMS, NONE, FIVE + later_s) == "e-1"
    assert len(notes.submitted) == 1
    assert notes.submitted[0].modified_s == FIVE


def test_an_event_that_is_no_more_for_us_is_cancelled():
    own, notes = desk()
    own.take(event(interval(0, "SIMPLE", 1), targets=["group-1"]), TERMS, NONE, FIVE)
    own.take(event(interval(0, "SIMPLE", 1), targets=["group-2"]), TERMS, NONE, FIVE + 30)
    assert notes.cancelled == ["e-1"]


def test_a_type_of_payload_that_an_event_loses_is_cancelled():
    own, notes = desk()
    both = {"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}, {"type": "DISPATCH_SETPOINT", "values": [5]}]}
    own.take(event(both), TERMS, NONE, FIVE)
    assert [call.call_id for call in notes.submitted] == ["e-1", "e-1.2"]
    own.take(event(interval(0, "SIMPLE", 1)), TERMS, frozenset(("e-1", "e-1.2", "e-11")), FIVE + 30)
    assert notes.cancelled == ["e-1.2"]


def test_what_was_over_before_it_was_heard_is_not_submitted():
    own, notes = desk()
    own.take(event(interval(0, "SIMPLE", 1)), TERMS, NONE, FIVE + 3600)
    assert notes.submitted == []


def test_calls_of_a_former_process_count_as_followed():
    own, notes = desk()
    assert own.absent({"e-2"}, {"e-1.2", "e-2"}) == ("e-1",)
    own.drop("e-1", {"e-1.2", "e-1", "e-10"}, FIVE)
    assert notes.cancelled == ["e-1", "e-1.2"]
    assert event_of("e-1.2") == "e-1"


def test_a_loop_is_told_further_as_time_goes_on():
    own, notes = desk()
    loop = event(interval(0, "SIMPLE", 1), interval(1, "SIMPLE", 2), duration="P9999Y")
    own.take(loop, TERMS, NONE, FIVE)
    own.take(loop, TERMS, NONE, FIVE + 60)
    assert len(notes.submitted) == 1
    own.take(loop, TERMS, NONE, FIVE + 2 * 86_400)
    assert notes.submitted[1].end_s > notes.submitted[0].end_s
    assert notes.submitted[1].modified_s > notes.submitted[0].modified_s


@pytest.mark.parametrize("length_s", [300, 60, 24])
def test_a_loop_of_more_intervals_than_are_followed_at_once_is_told_around_now(length_s):
    own, notes = desk()
    period = {"start": AT_FIVE, "duration": f"PT{length_s}S"}
    intervals = [interval(0, "IMPORT_CAPACITY_LIMIT", 9), interval(1, "IMPORT_CAPACITY_LIMIT", 8)]
    loop = event(*intervals, intervalPeriod=period, duration="P9999Y")
    for hour in (0, 1, 5, 24, 1000, 1001):
        now_s = FIVE + 3600 * hour + 10
        own.take(loop, TERMS, NONE, now_s)
        assert own.followed["e-1"].refused is None
        call = notes.submitted[-1]
        (now,) = [each for each in call.intervals if each.start_s <= now_s < each.end_s]
        number = (now_s - FIVE) // length_s
        assert now.commitment.value == (9000.0, 8000.0)[int(number % 2)]
        assert now.interval_id == f"{int(number % 2)}" + (f"r{int(number // 2)}" if number >= 2 else "")
        assert call.end_s > now_s + 2 * 3600
        assert len(call.intervals) <= 1024
    told = {call.modified_s: call.intervals for call in notes.submitted}
    assert list(told) == sorted(told), "the book takes what is younger"
    assert all(told[call.modified_s] == call.intervals for call in notes.submitted)
    assert notes.cancelled == []


def test_a_loop_whose_last_intervals_are_no_more_than_are_followed_at_once_grows_younger_all_the_same():
    own, notes = desk()
    period = {"start": AT_FIVE, "duration": "PT5M"}
    loop = event(interval(0, "IMPORT_CAPACITY_LIMIT", 9), interval(1, "IMPORT_CAPACITY_LIMIT", 8),
                 intervalPeriod=period, duration="P10D")  # fmt: skip
    for hour in (0, 30, 191, 192, 239):
        own.take(loop, TERMS, NONE, FIVE + 3600 * hour + 10)
    told_s = [call.modified_s for call in notes.submitted]
    assert len(told_s) == 5
    assert told_s == sorted(told_s), "the book takes what is younger"


def test_prices_of_the_higher_priority_count():
    own, _ = desk()
    usd = {"payloadDescriptors": [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]}
    own.take(event(interval(0, "PRICE", 0.1), **usd), TERMS, NONE, FIVE)
    own.take(event(interval(0, "PRICE", 0.2), id="e-2", priority=1, **usd), TERMS, NONE, FIVE)
    assert own.spans("price_usd_per_mwh") == (Span(FIVE, FIVE + 3600, 200.0),)
    assert own.spans("price_usd_per_mwh", "other") == ()


@given(anything)
def test_any_json_in_place_of_an_event_is_refused_without_harm(value):
    own, notes = desk()
    assert own.take(value, TERMS, NONE, FIVE) is None
    assert own.told.refused == 1
    assert notes.submitted == []


@given(st.sampled_from(sorted(set(EVENT) - {"id"})), anything)
def test_any_json_in_place_of_a_field_harms_no_other_event(field, value):
    own, notes = desk()
    own.take(event(interval(0, "SIMPLE", 1), id="e-2"), TERMS, NONE, FIVE)
    assert own.take({**EVENT, field: value}, TERMS, NONE, FIVE) == "e-1"
    assert notes.submitted[0].call_id == "e-2"
    assert notes.cancelled == []


@pytest.mark.parametrize(
    ("made", "heard_before_s", "start_s"),
    [
        ({"createdDateTime": AT_FIVE}, FIVE + 10, FIVE + 10),
        ({"modificationDateTime": AT_FIVE}, FIVE + 10, FIVE + 10),
        ({"createdDateTime": AT_FIVE}, FIVE + 600, FIVE + 600),
        ({}, FIVE + 10, FIVE + 600),  # nobody knows whether it is the same event
        ({"createdDateTime": AT_FIVE}, None, FIVE + 600),
    ],
)
def test_now_is_when_a_former_process_heard_of_the_event(made, heard_before_s, start_s):
    def first_heard(event_id, heard_s, since_s):
        assert (event_id, heard_s, since_s) == ("e-1", FIVE + 600, FIVE - MAX_SKEW_S)
        if heard_before_s is None:
            raise StoreError("the disk is full")
        return heard_before_s

    own = EventDesk("openadr:utility", Notes(), Draws(1), first_heard)
    usd = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
    now = {"start": "0001-01-01", "duration": "PT1H"}
    content = event(interval(0, "PRICE", 0.2), payloadDescriptors=usd, intervalPeriod=now, **made)
    own.take(content, TERMS, NONE, FIVE + 600)
    assert own.spans("price_usd_per_mwh") == (Span(start_s, start_s + 3600, 200.0),)
    own.take(dict(content, priority=1), TERMS, NONE, FIVE + 700)
    assert own.spans("price_usd_per_mwh") == (Span(start_s, start_s + 3600, 200.0),)


def test_an_event_that_has_an_id_once_more_begins_at_the_same_time_after_each_restart(tmp_path):
    queue = ReportQueue(tmp_path / "q.sqlite")
    usd = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
    now = {"start": "0001-01-01", "duration": "PT1H"}
    told = {"payloadDescriptors": usd, "intervalPeriod": now}
    former = event(interval(0, "PRICE", 0.2), createdDateTime="2026-06-30T16:00:00Z", **told)
    again = event(interval(0, "PRICE", 0.2), createdDateTime=AT_FIVE, **told)

    def desk_of_a_new_process():
        return EventDesk("openadr:utility", Notes(), Draws(1), partial(queue.heard_s, "v"))

    desk_of_a_new_process().take(former, TERMS, NONE, FIVE - 86_400)
    for restarts in range(1, 4):
        own = desk_of_a_new_process()
        own.take(again, TERMS, NONE, FIVE + 600 * restarts)
        assert own.spans("price_usd_per_mwh") == (Span(FIVE + 600, FIVE + 4200, 200.0),)
    queue.close()


def test_an_event_that_was_deleted_and_came_back_begins_when_it_came_back_after_a_restart_too(tmp_path):
    queue = ReportQueue(tmp_path / "q.sqlite")
    now = {"start": "0001-01-01", "duration": "PT1H"}
    content = event(interval(0, "SIMPLE", 1), createdDateTime=AT_FIVE, intervalPeriod=now)
    first, second = (EventDesk("openadr:utility", Notes(), Draws(1), partial(queue.heard_s, "v")) for _ in range(2))
    first.take(content, TERMS, NONE, FIVE + 10)
    first.drop("e-1", ("e-1",), FIVE + 500)
    for own, now_s in ((first, FIVE + 600), (second, FIVE + 700)):
        own.take(content, TERMS, NONE, now_s)
        (call,) = own.followed["e-1"].meaning.calls
        assert call.start_s == FIVE + 600
    queue.close()
