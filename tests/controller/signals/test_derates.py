import dataclasses

import pytest

from controller.errors import CallRefused, StoreError
from controller.model.derate import Derate
from controller.signals.derates import MAX_DERATES, RENEW_S, DerateBook
from tests.fakes.controller_parts import NOW_S, ListRecorder


class Failing:
    def record(self, kind, time_s, payload):
        raise StoreError("the disk is full")


def derate(name="fans", start_in_s=0.0, lasts_s=600.0, **changes):
    made = Derate(name, 2e3, NOW_S + start_in_s, NOW_S + start_in_s + lasts_s, "a fan is out", NOW_S)
    return dataclasses.replace(made, **changes)


def names(book, now_s):
    return [each.derate_id for each in book.current(now_s)]


def test_it_is_held_until_its_end_or_until_it_is_ended_and_recorded_with_who_when_and_why():
    recorder = ListRecorder()
    book = DerateBook(recorder)
    book.add(derate("later", 300.0), NOW_S)
    book.add(derate(), NOW_S)
    assert names(book, NOW_S + 1) == ["fans", "later"]
    assert names(book, NOW_S + 600) == ["later"]
    assert book.end("later", NOW_S + 601).derate_id == "later"
    assert book.end("later", NOW_S + 602) is None
    assert names(book, NOW_S + 602) == []
    told = recorder.of("derate")
    assert [record["action"] for record in told] == ["added", "added", "ended"]
    assert {key: told[1]["derate"][key] for key in ("source", "made_s", "reason", "shed_w")} == {
        "source": "operator",
        "made_s": NOW_S,
        "reason": "a fan is out",
        "shed_w": 2e3,
    }


def test_it_outlasts_the_process_and_what_cannot_be_read_is_left_out():
    recorder = ListRecorder()
    book = DerateBook(recorder)
    for name in ("fans", "ended", "over"):
        book.add(derate(name, lasts_s=60.0 if name == "over" else 600.0), NOW_S)
    book.end("ended", NOW_S + 1)
    again = DerateBook(ListRecorder())
    records = [*recorder.of("derate"), {"action": "added"}, {"derate": {"derate_id": "x"}}, {"derate": "y"}]
    assert again.restore(records, NOW_S + 61) == 1
    assert again.current(NOW_S + 61) == (derate(),)


@pytest.mark.parametrize(
    ("wrong", "says", "is_conflict"),
    [
        (derate("late", -600.0), "would be over already", False),
        (derate(), "exists already; end it first", True),
    ],
)
def test_what_is_over_or_known_is_refused(wrong, says, is_conflict):
    book = DerateBook(ListRecorder())
    book.add(derate(), NOW_S)
    with pytest.raises(CallRefused, match=says) as caught:
        book.add(wrong, NOW_S)
    assert caught.value.is_conflict is is_conflict
    assert names(book, NOW_S) == ["fans"]


def test_so_many_are_held_and_no_more():
    book = DerateBook(ListRecorder())
    for number in range(MAX_DERATES):
        book.add(derate(f"d{number}"), NOW_S)
    with pytest.raises(CallRefused, match="64 derates are held already; end some"):
        book.add(derate("more"), NOW_S)
    book.add(derate("more", lasts_s=900.0, start_in_s=601.0), NOW_S + 600)


def test_what_cannot_be_recorded_is_not_done():
    with pytest.raises(StoreError):
        DerateBook(Failing()).add(derate(), NOW_S)
    book = DerateBook(Failing())
    book.restore([{"action": "added", "derate": dataclasses.asdict(derate(lasts_s=3 * RENEW_S))}], NOW_S)
    with pytest.raises(StoreError):
        book.end("fans", NOW_S + 1)
    assert names(book, NOW_S + 1) == ["fans"]
    assert names(book, NOW_S + 2 * RENEW_S) == ["fans"], "that it is not recorded again does not end it"


def test_one_that_lasts_is_recorded_again_each_day():
    recorder = ListRecorder()
    book = DerateBook(recorder)
    book.add(derate(lasts_s=3 * RENEW_S), NOW_S)
    for after_s in (0.5, 1.0, 1.5, 2.0):
        book.current(NOW_S + after_s * RENEW_S)
    assert [record["action"] for record in recorder.of("derate")] == ["added", "kept", "kept"]


def test_a_controller_that_takes_over_holds_what_the_leader_held():
    recorder = ListRecorder()
    book = DerateBook(recorder)
    book.add(derate("own"), NOW_S)
    theirs = (derate("fans"), derate("over", -600.0))
    book.adopt(theirs, NOW_S + 1)
    book.adopt(theirs, NOW_S + 2)
    assert book.current(NOW_S + 2) == (derate("fans"),)
    assert [record["action"] for record in recorder.of("derate")] == ["added", "ended", "handed_over"]
