import pytest

from controller.errors import MessageError
from controller.grid.resolve import References, event_ids, resolve
from controller.model.programme import Programme
from controller.openadr.event_calls import MAX_LINES
from tests.controller.openadr.test_events import FIVE, read
from tests.fakes.vtn.server import interval

HOUR_S = 3600.0


def limits(*numbered, **fields):
    """An event of hourly limits, kW by the interval's id; the first begins at five."""
    return read(*(interval(number, "IMPORT_CAPACITY_LIMIT", kw) for number, kw in numbered), **fields)


def spans(found):
    """What each limit is called, and when it holds in hours from five."""
    return {
        event.event_id.partition("#")[2]: ((event.start_s - FIVE) / HOUR_S, (event.end_s - FIVE) / HOUR_S)
        for call in found.calls
        for event in resolve(call, Programme("shed"), References()).events
    }


def test_an_interval_keeps_its_id_when_others_come_and_go():
    before = spans(limits((4, 10), (5, 12), (6, 8)))
    assert before == {"4": (0, 1), "5": (1, 2), "6": (2, 3)}
    later = {"start": "2026-07-01T18:00:00Z", "duration": "PT1H"}
    rolled = spans(limits((5, 12), (6, 8), (7, 9), intervalPeriod=later))
    assert rolled == {"5": (1, 2), "6": (2, 3), "7": (3, 4)}
    last = {"start": "2026-07-01T19:00:00Z", "duration": "PT1H"}
    assert spans(limits((6, 8), intervalPeriod=last)) == {"6": (2, 3)}


def test_hours_that_ask_for_the_same_are_one_limit_that_has_the_id_of_the_first():
    assert spans(limits((0, 10), (1, 10), (2, 8))) == {"0": (0, 2), "2": (2, 3)}


def test_rounds_of_a_loop_and_values_of_an_interval_have_ids_of_their_own():
    looped = spans(limits((0, 10), (1, 8), duration="PT4H"))
    assert looped == {"0": (0, 1), "1": (1, 2), "0r1": (2, 3), "1r1": (3, 4)}
    shared = read(interval(3, "IMPORT_CAPACITY_LIMIT", 10, 8))
    assert spans(shared) == {"3v0": (0, 0.5), "3v1": (0.5, 1)}


def test_ids_that_the_vtn_gave_twice_are_told_by_their_place():
    (call,) = limits((0, 10), (0, 8)).calls
    assert event_ids(call) == ("openadr:utility/e-1#0", "openadr:utility/e-1#1")


def test_more_than_can_be_followed_at_once_is_refused():
    when = {"start": "2026-07-01T17:00:00Z", "duration": "PT1H"}
    many = [interval(n, "IMPORT_CAPACITY_LIMIT", n, **when) for n in range(MAX_LINES + 1)]
    assert len(read(*many[:-1]).calls) == MAX_LINES
    with pytest.raises(MessageError, match=f"more than {MAX_LINES} overlap at once"):
        read(*many)
