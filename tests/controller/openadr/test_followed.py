import dataclasses

from hypothesis import given

from controller.errors import CallRefused, StoreError
from controller.grid.admit import Refusal
from controller.openadr.draws import Draws
from controller.openadr.events import Terms
from controller.openadr.followed import Followed, asker_of, begins, event_of, is_overtaken, lasts, moves_on
from controller.openadr.messages_read import read_event
from tests.controller.openadr.test_follow import NONE, TERMS, desk, event
from tests.controller.openadr.test_messages_read import anything
from tests.controller.openadr.test_schedule import FIVE
from tests.fakes.vtn.server import interval

OWN = frozenset(("north",))


def test_a_refused_event_is_known_well_enough_to_tell_its_vtn():
    told = asker_of({"id": "e-1", "programID": "p", "intervals": "none"}, OWN)
    assert (told.event_id, told.program_id) == ("e-1", "p")
    assert asker_of({"id": "e-1", "programID": "p", "targets": ["north", "south"]}, OWN) is not None


def test_nobody_is_told_of_an_event_for_others_or_of_no_programme():
    assert asker_of({"id": "e-1", "programID": "p", "targets": ["south"]}, OWN) is None
    assert asker_of({"id": "e-1", "programID": "p", "targets": "south"}, OWN) is None
    assert asker_of({"id": "e-1"}, OWN) is None


def test_what_the_vtn_changed_earlier_is_overtaken():
    def told(moment):
        return read_event(event(interval(0, "SIMPLE", 1), modificationDateTime=moment))

    known = Followed(b"", FIVE, FIVE, 0.0, "dr", event=told("2026-07-01T17:00:00Z"))
    assert is_overtaken(told("2026-07-01T16:59:59Z"), known)
    assert not is_overtaken(told("2026-07-01T17:00:00Z"), known)
    assert not is_overtaken(told(None), known)
    assert not is_overtaken(told("2026-07-01T16:59:59Z"), dataclasses.replace(known, event=None))


def test_a_call_that_came_too_fast_does_not_stay_refused():
    assert lasts(CallRefused("too high", cause=Refusal.BOUNDS.value))
    assert not lasts(CallRefused("too fast", cause=Refusal.RATE.value))
    assert not lasts(StoreError("the disk is full"))


@given(anything)
def test_any_json_has_its_place_among_the_events(value):
    assert isinstance(begins(value), str)


def test_what_is_in_force_comes_before_what_is_to_come():
    def at(moment, where="event"):
        period = {"intervalPeriod": {"start": moment}}
        return event(interval(0, "SIMPLE", 1) | (period if where == "interval" else {}), intervalPeriod=None) | (
            period if where == "event" else {}
        )

    listed = [at("2026-07-02T00:00:00Z"), at("2026-07-01T18:00:00Z", "interval"), at("0001-01-01"), at("0000-00-00")]
    assert sorted(listed, key=begins) == [listed[3], listed[2], listed[1], listed[0]]


def test_only_a_loop_is_looked_at_again():
    once, loop = (read_event(event(interval(0, "SIMPLE", 1), duration=length)) for length in (None, "P1D"))
    known = Followed(b"", FIVE, FIVE, 0.0, "dr", event=once, looked_s=FIVE)
    assert not moves_on(known, FIVE + 86_400)
    assert moves_on(dataclasses.replace(known, event=loop), FIVE + 86_400)
    assert not moves_on(dataclasses.replace(known, event=loop), FIVE + 60)
    assert event_of("e-1.2") == "e-1"


def test_what_was_refused_is_remembered_until_it_is_mended():
    own, _ = desk()
    bad = event(interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.2))
    own.take(bad, TERMS, NONE, FIVE)
    assert own.followed["e-1"].asker.event_id == "e-1"
    own.take(event(interval(0, "SIMPLE", 1)), TERMS, NONE, FIVE + 30)
    assert own.followed["e-1"].asker is None
    own.take(event(interval(0, "SIMPLE", 9), targets=["others"]), TERMS, NONE, FIVE + 60)
    assert own.followed["e-1"].asker is None


def test_types_of_no_standard_are_counted_together():
    own, _ = desk()
    kinds = ("X-1", "X-2", "CURVE", "CONTROL_LEVEL_OFFSET")
    payloads = [{"type": kind, "values": [-1]} for kind in kinds]
    own.take(event({"id": 0, "payloads": payloads}), Terms("openadr:utility", "dr"), NONE, FIVE)
    assert own.told.ignored == {"other": 2, "CURVE": 1, "CONTROL_LEVEL_OFFSET": 1}
    assert Draws(1).of("e-1") == own.followed["e-1"].chance
