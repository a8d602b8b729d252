"""Who waits gets slots in turn; with several workers see `test_shared_slots`."""

from __future__ import annotations

import pytest

from router.contract import ClassId, InstanceId
from router.exchange import Ask, Choice, Refusal
from router.openai import RequestFacts
from router.parts import make_parts
from router.policy import ClassPolicy
from router.slot import Slot
from router.waiting_room import WaitingRoom
from tests.fakes.routing import NOW_S, router_file

ASK = Ask(RequestFacts(body_bytes=10, valid=True), ClassId("standard"), None, None, 256.0)
STANDARD = {"name": "standard", "max_wait_s": 30, "max_queued": 3}


class Room:
    """A waiting room before one instance with one slot."""

    def __init__(self) -> None:
        self.parts = make_parts(router_file({"bf16": 1}, cap=1, classes=[STANDARD]), ())
        self.slot = self.parts.fleet.slots[InstanceId("bf16-0")]
        self.served: list[str] = []
        self.room = WaitingRoom(self.parts, None, self.reserve)
        self.take()

    def reserve(self, ask: Ask, policy: ClassPolicy, slot: Slot) -> Choice:
        slot.pool.count(slot, 1)
        return Choice(slot.spec, ask.class_id, -1, False, 0, 0.0)

    def take(self) -> None:
        self.slot.pool.count(self.slot, 1)

    def free(self) -> None:
        self.slot.pool.count(self.slot, -1)

    def join(self, name: str, since_s: float = 0.0, *, tried: tuple[str, ...] = ()) -> object:
        def granted(found: Choice | Refusal) -> None:
            assert isinstance(found, Choice)
            self.served.append(name)

        return self.room.join(ASK, NOW_S + since_s, granted, tuple(InstanceId(each) for each in tried))


@pytest.fixture
def full() -> Room:
    return Room()


def test_slots_go_to_who_waits_longest(full: Room) -> None:
    for number in range(3):
        full.join(f"r{number}", number)
    full.room.serve(NOW_S + 5)
    assert full.served == []
    for _ in range(2):
        full.free()
        full.room.serve(NOW_S + 6)
    assert full.served == ["r0", "r1"]
    waited = full.parts.accounts.tally_of(ASK.class_id, full.slot.spec.pool_id).traffic.queue_wait
    assert (waited.total, sum(waited.counts)) == (11.0, 2)


def test_a_full_queue_takes_nobody(full: Room) -> None:
    assert [full.join(str(number)) is not None for number in range(4)] == [True, True, True, False]


def test_who_leaves_is_passed_over_and_may_leave_twice(full: Room) -> None:
    first = full.join("first")
    full.join("second")
    for _ in range(2):
        full.room.leave(first)  # type: ignore[arg-type]
    full.free()
    full.room.serve(NOW_S)
    assert full.served == ["second"]


def test_who_waited_too_long_waits_no_more(full: Room) -> None:
    late, patient = full.join("late"), full.join("patient", 5.0)
    assert full.room.late(NOW_S + 29) == []
    assert full.room.late(NOW_S + 31) == [late]
    full.free()
    full.room.serve(NOW_S + 32)
    assert full.served == ["patient"]
    assert full.room.late(NOW_S + 99) == [], f"{patient} was served"


def test_an_instance_that_failed_a_request_is_no_slot_for_it(full: Room) -> None:
    full.join("failed there", tried=("bf16-0",))
    full.join("fresh", 1.0)
    full.free()
    full.room.serve(NOW_S + 2)
    assert full.served == ["fresh"]


def test_a_grant_that_ends_at_once_leads_to_the_next_without_nesting(full: Room) -> None:
    depth = 0

    def granted(_: Choice | Refusal) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1
        full.free()
        full.room.serve(NOW_S)
        full.served.append("ended")
        depth -= 1

    for _ in range(3):
        full.room.join(ASK, NOW_S, granted, ())
    full.free()
    full.room.serve(NOW_S)
    assert full.served == ["ended"] * 3


def test_other_parts_may_have_room_for_who_waits(full: Room) -> None:
    full.join("waiting")
    parts = make_parts(router_file({"bf16": 2}, cap=1, classes=[STANDARD]), ())
    parts.admission.adopt(full.parts.admission)
    full.room.follow(parts)
    assert full.served == ["waiting"]
