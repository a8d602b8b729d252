"""Queues: bounded, in order, and never in each other's way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.admission import Admission, Ticket
from router.contract import ClassId, InstanceId, Precision
from router.exchange import Ask
from router.openai import RequestFacts
from router.settings import ClassSettings
from tests.fakes.routing import NOW_S

CLASSES = (ClassSettings(name="standard", max_queued=3, max_wait_s=10), ClassSettings(name="flex", max_queued=2))
ASK = Ask(RequestFacts(body_bytes=1000), ClassId("standard"), None, None, 256.0)
FLEX = msgspec.structs.replace(ASK, class_id=ClassId("flex"))
PINNED = msgspec.structs.replace(ASK, precision=Precision.BF16)


def ignore(_: Any) -> None:
    """No one waits for this."""


def push(queues: Admission, ask: Ask = ASK, now_s: float = NOW_S) -> Ticket:
    ticket = queues.push(ask, now_s, ignore)
    assert ticket is not None
    return ticket


def test_each_class_has_its_own_bound_over_all_its_lines() -> None:
    queues = Admission(CLASSES)
    for ask in (ASK, PINNED, ASK):
        push(queues, ask)
    assert queues.push(ASK, NOW_S, ignore) is None
    assert queues.push(PINNED, NOW_S, ignore) is None
    push(queues, FLEX)
    assert (queues.waiting, queues.queued(ClassId("standard")), queues.queued(ClassId("flex"))) == (4, 3, 1)


def test_the_bodies_that_wait_are_bounded_by_their_bytes() -> None:
    queues = Admission([ClassSettings(name="standard", max_queued_bytes=2500)])
    first = push(queues)
    push(queues)
    assert queues.push(ASK, NOW_S, ignore) is None, "3000 bytes"
    small = msgspec.structs.replace(ASK, facts=RequestFacts(body_bytes=500))
    push(queues, small)
    assert queues.push(small, NOW_S, ignore) is None
    assert queues.remove(first)
    push(queues)


def test_who_has_tried_an_instance_waits_in_a_line_of_its_own() -> None:
    queues = Admission(CLASSES)
    failed = queues.push(ASK, NOW_S, ignore, (InstanceId("bf16-0"),))
    fresh = push(queues)
    assert failed is not None
    assert (failed.tried, fresh.tried) == (("bf16-0",), ())
    assert queues.heads() == [failed, fresh]
    assert queues.remove(failed)
    assert queues.heads() == [fresh]


def test_a_class_with_no_queue_refuses_at_once() -> None:
    queues = Admission([ClassSettings(name="standard", max_queued=0)])
    assert queues.push(ASK, NOW_S, ignore) is None


def test_the_head_of_each_line_is_offered_longest_waiting_first() -> None:
    queues = Admission(CLASSES)
    first, second, _, fourth = push(queues, FLEX), push(queues, PINNED), push(queues, PINNED), push(queues)
    assert queues.heads() == [first, second, fourth]
    assert queues.remove(first)
    assert queues.heads() == [second, fourth]


def test_leaving_frees_the_place_once() -> None:
    queues = Admission(CLASSES)
    tickets = [push(queues) for _ in range(3)]
    assert queues.remove(tickets[1])
    assert not queues.remove(tickets[1])
    assert queues.queued(ClassId("standard")) == 2
    push(queues)
    assert queues.push(ASK, NOW_S, ignore) is None


def test_those_who_waited_too_long_are_taken_out_in_order() -> None:
    queues = Admission(CLASSES)
    early, flex, pinned = push(queues), push(queues, FLEX), push(queues, PINNED, NOW_S + 1)
    late = push(queues, ASK, NOW_S + 5)
    assert queues.expired(NOW_S + 9.9) == []
    assert queues.expired(NOW_S + 11) == [early, pinned]
    assert queues.heads() == [flex, late]
    assert queues.expired(NOW_S + 60) == [flex, late]
    assert queues.waiting == 0


@pytest.mark.parametrize("rounds", [1000])
def test_coming_and_going_behind_a_stuck_head_holds_no_memory(rounds: int) -> None:
    queues = Admission(CLASSES)
    stuck = push(queues)
    for _ in range(rounds):
        queues.remove(push(queues))
    assert queues.heads() == [stuck]
    assert queues.waiting == 1


def test_whose_turn_is_next() -> None:
    queues = Admission(CLASSES)
    assert queues.turn_s() == 0.0
    late, early, last = push(queues, PINNED, NOW_S + 2), push(queues, FLEX, NOW_S + 1), push(queues, ASK, NOW_S + 3)
    assert queues.turn_s() == early.turn_s < late.turn_s < last.turn_s
    queues.remove(early)
    assert queues.turn_s() == late.turn_s
    queues.remove(late)
    assert queues.turn_s() == last.turn_s


def test_a_class_of_higher_priority_goes_first_however_long_others_wait() -> None:
    queues = Admission((ClassSettings(name="standard", priority=1), ClassSettings(name="flex", priority=-1)))
    flex = [push(queues, FLEX, NOW_S + n) for n in (0, 1)]
    standard = push(queues, ASK, NOW_S + 29)
    assert queues.heads() == [standard, flex[0]]
    assert 0.0 < queues.turn_s() == standard.turn_s
    assert [ticket.serial for ticket in queues.expired(NOW_S + 30)] == [flex[0].serial], (
        "its wait is bounded all the same"
    )
