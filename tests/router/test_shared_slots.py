"""Slots that several workers share: what a worker believes, what the book says, and to whom a slot is handed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from router.contract import InstanceId, PoolId
from router.discovery.static import list_instances
from router.dispatch import Choice, Dispatcher, Refusal
from router.fleet import EngineLoad, Fleet
from router.settings import HealthSettings, RouterFile
from router.shared_caps import SharedCaps
from router.shared_memory import FileLocks, SharedMemory
from router.shared_slots import SharedSlots
from tests.fakes.routing import NOW_S, ask, choose, finish, router_file, table
from tests.fakes.shared_workers import SharedWorkers, shared_workers

ONE = InstanceId("bf16-0")


@pytest.fixture
def three() -> Iterator[SharedWorkers]:
    with shared_workers(router_file({"bf16": 1}, cap=2), 3) as workers:
        yield workers


class Waiting:
    """A client in a queue."""

    def __init__(self, dispatcher: Dispatcher, since_s: float = 0.0, **headers: str) -> None:
        self.request = ask(dispatcher, **headers)
        self.choice: Choice | None = None
        assert dispatcher.choose(self.request, NOW_S + since_s) is None
        self.ticket = dispatcher.enqueue(self.request, NOW_S + since_s, self.granted)

    def granted(self, grant: Choice | Refusal) -> None:
        assert isinstance(grant, Choice)
        self.choice = grant


def in_flight(dispatcher: Dispatcher) -> int:
    return dispatcher.state(NOW_S).instances[0].in_flight


def held(*dispatchers: Dispatcher) -> list[Choice]:
    return [choose(dispatcher, ask(dispatcher)) for dispatcher in dispatchers]


def give(dispatcher: Dispatcher, choice: Choice) -> None:
    finish(dispatcher, choice, ask(dispatcher))


@dataclass
class Full:
    """The first two workers have a slot each, all there are; in the third a request waits."""

    workers: SharedWorkers
    taken: Choice
    waiting: Waiting

    def free_one(self) -> Dispatcher:
        """The first worker's request ends."""
        first = self.workers.dispatchers[0]
        give(first, self.taken)
        return first


@pytest.fixture
def full(three: SharedWorkers) -> Full:
    a, b, c = three.dispatchers
    taken, _ = held(a, b)
    waiting = Waiting(c)
    three.deliver()
    assert waiting.choice is None
    return Full(three, taken, waiting)


def test_a_slot_that_another_worker_frees_goes_to_who_waits(full: Full) -> None:
    three, waiting = full.workers, full.waiting
    full.free_one()
    assert waiting.choice is None, "it is the other worker's to take"
    assert three.deliver() == 1
    assert waiting.choice is not None
    assert [in_flight(dispatcher) for dispatcher in three.dispatchers] == [0, 1, 1]


def test_who_waits_longest_comes_first_in_whatever_worker(three: SharedWorkers) -> None:
    a, b, c = three.dispatchers
    one, two = held(a, b)
    late, early, middle = Waiting(a, 3.0), Waiting(c, 1.0), Waiting(b, 2.0)
    three.deliver()
    give(a, one)
    three.deliver()
    assert (early.choice is not None, middle.choice, late.choice) == (True, None, None)
    give(b, two)
    three.deliver()
    assert (middle.choice is not None, late.choice) == (True, None)
    assert early.choice is not None
    give(c, early.choice)
    three.deliver()
    assert late.choice is not None


def test_a_worker_that_waits_itself_and_is_first_needs_no_call(three: SharedWorkers) -> None:
    a, b, _ = three.dispatchers
    taken, _ = held(a, b)
    waiting = Waiting(a)
    three.deliver()
    give(a, taken)
    assert waiting.choice is not None
    assert three.called() == []


def test_who_has_just_come_leaves_the_last_slot_to_who_waits(full: Full) -> None:
    pusher = Waiting(full.free_one(), 1.0)
    full.workers.deliver()
    assert (full.waiting.choice is not None, pusher.choice) == (True, None)


def test_what_the_first_cannot_use_is_handed_on() -> None:
    settings = router_file({"bf16": 1, "int4": 1}, cap=1)
    with shared_workers(settings, 3) as workers:
        a, b, c = workers.dispatchers
        bf16, int4 = (choose(a, ask(a, x_wattroute_precision=name)) for name in ("bf16", "int4"))
        first = Waiting(b, 1.0, x_wattroute_precision="int4")
        second = Waiting(c, 2.0, x_wattroute_precision="bf16")
        workers.deliver()
        finish(a, bf16, ask(a))
        assert workers.called() == [1], "the one that waits longest"
        b.woken()
        assert workers.called() == [2]
        c.woken()
        assert (first.choice, second.choice is not None) == (None, True)
        finish(a, int4, ask(a))
        workers.deliver()
        assert first.choice is not None


def test_nobody_is_called_for_a_slot_of_an_instance_that_was_not_full() -> None:
    with shared_workers(router_file({"bf16": 1, "int4": 1}, cap=20), 2) as workers:
        a, b = workers.dispatchers
        for _ in range(20):
            choose(a, ask(a, x_wattroute_precision="int4"))
        others = [choose(a, ask(a, x_wattroute_precision="bf16")) for _ in range(10)]
        Waiting(b, 1.0, x_wattroute_precision="int4")
        workers.deliver()
        for choice in others:
            finish(a, choice, ask(a))
        assert workers.called() == []


def test_the_slots_of_a_worker_that_dies_go_to_who_waits(three: SharedWorkers) -> None:
    a, b, _ = three.dispatchers
    held(b, b)
    waiting = Waiting(a)
    three.deliver()
    three.kill(1)
    three.deliver()
    assert waiting.choice is not None


def test_a_sweep_finds_what_no_call_told(full: Full) -> None:
    full.free_one()
    assert full.workers.called() == [2], "and the call is lost"
    full.workers.dispatchers[2].expire(NOW_S + 0.1)
    assert full.waiting.choice is not None


def test_workers_that_wait_no_more_are_not_called(full: Full) -> None:
    third = full.workers.dispatchers[2]
    third.cancel(full.waiting.ticket)
    third.expire(NOW_S + 0.1)
    full.free_one()
    assert full.workers.called() == []


def test_full_of_others_is_waited_for_and_closed_is_not(three: SharedWorkers) -> None:
    a, b, _ = three.dispatchers
    held(b, b)
    a.expire(NOW_S)
    assert a.has_usable()
    assert a.choose(ask(a), NOW_S) is None
    a.apply_table(table(caps={ONE: 0}), NOW_S)
    found = a.choose(ask(a), NOW_S)
    assert isinstance(found, Refusal)
    assert found.status == 503


def test_load_counts_the_requests_of_other_workers_at_once() -> None:
    with shared_workers(router_file({"bf16": 2}, cap=100), 2) as workers:
        a, b = workers.dispatchers
        taken = [choose(a, ask(a)).spec.instance_id for _ in range(4)]
        assert sorted(taken) == ["bf16-0", "bf16-0", "bf16-1", "bf16-1"]
        first = choose(a, ask(a)).spec.instance_id
        b.expire(NOW_S)
        other = choose(b, ask(b)).spec.instance_id
        assert other != first
        # An engine's own count holds those of all workers, which are not counted twice.
        b.probed(first, ok=True, load=EngineLoad(3, 0, 0.0), now_s=NOW_S)
        b.probed(other, ok=True, load=EngineLoad(3, 0, 0.0), now_s=NOW_S)
        assert {choose(b, ask(b)).spec.instance_id for _ in range(2)} == {first, other}


def test_a_worker_that_hears_of_no_probes_forgets_what_it_heard(three: SharedWorkers) -> None:
    a = three.dispatchers[0]
    a.probed(ONE, ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    a.expire(NOW_S + 9)
    assert a.state(NOW_S).instances[0].state == "asleep"
    a.expire(NOW_S + 11)
    assert a.state(NOW_S).instances[0].state == "up"


def test_instances_keep_their_rows_when_the_settings_change() -> None:
    def fleet_of(settings: RouterFile) -> Fleet:
        weights = {PoolId(pool.name): 1.0 for pool in settings.pools}
        return Fleet(list_instances(settings.pools), weights, health=HealthSettings())

    memory = SharedMemory.create(2)
    mine = SharedSlots(fleet_of(router_file({"bf16": 3})), SharedCaps(memory, 0, FileLocks(memory.fd)))
    small = router_file({"bf16": 3})
    urls = small.pools[0].instances
    changed = small.model_copy(update={"pools": (small.pools[0].model_copy(update={"instances": urls[1:]}),)})
    theirs = fleet_of(small)
    other = SharedSlots(theirs, SharedCaps(memory, 1, FileLocks(memory.fd)))
    for slot in theirs.slots.values():
        assert other.take(slot, yields=False)
        slot.pool.count(slot, 1)
    fleet = fleet_of(changed)
    mine.follow(fleet)
    assert [slot.row for slot in fleet.slots.values()] == [1, 2]
    assert [slot.others for slot in fleet.slots.values()] == [1, 1]
    memory.close()


def test_an_engine_that_left_and_came_back_has_its_old_requests_counted_still() -> None:
    both = router_file({"bf16": 2}, cap=2)
    one = both.model_copy(
        update={"pools": (both.pools[0].model_copy(update={"instances": both.pools[0].instances[:1]}),)}
    )
    with shared_workers(both, 2) as workers:
        a, b = workers.dispatchers
        old = [choose(a, ask(a)) for _ in range(4)]
        a.reconfigure(one)
        a.reconfigure(both)
        assert a.choose(ask(a), NOW_S) is None, "the engines have them still"
        assert b.choose(ask(b), NOW_S) is None
        for choice in old:
            finish(a, choice, ask(a))
        assert sum(workers.memory.instances.counts[:4]) == 0
        assert [choose(b, ask(b)).spec.instance_id for _ in range(4)] == ["bf16-0", "bf16-1", "bf16-0", "bf16-1"]


def test_a_freed_slot_goes_to_the_worker_where_a_higher_priority_waits() -> None:
    classes = [{"name": "standard"}, {"name": "flex", "priority": -1}]
    with shared_workers(router_file({"bf16": 1}, cap=1, classes=classes), 3) as workers:
        a, b, c = workers.dispatchers
        (taken,) = held(a)
        flex = Waiting(b, 0.0, **{"x-wattroute-class": "flex"})
        standard = Waiting(c, 5.0, **{"x-wattroute-class": "standard"})
        workers.deliver()
        give(a, taken)
        workers.deliver()
        assert (flex.choice, standard.choice is not None) == (None, True)
