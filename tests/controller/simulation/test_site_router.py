from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from controller.model.fleet import RequestClass
from controller.model.observation import InstanceState
from controller.simulation.engine import EnginePhysics
from controller.simulation.site_router import RoutedEngine, SiteRouter
from router.contract import AllocationTable, InstanceId
from tests.fakes.two_pools import ANY, ONLY_A, SITE, A, B, request, table


class Routed:
    """A router before engines that work on nothing by themselves: tests say what is finished."""

    def __init__(
        self, obeyed: AllocationTable | None, classes: Iterable[RequestClass] = SITE.classes, off: str = ""
    ) -> None:
        self.engines = {
            one.instance_id: RoutedEngine(
                one.instance_id,
                pool,
                one.gpu_uuids,
                EnginePhysics(pool.curves, 0.0, InstanceState.OFF if one.instance_id == off else InstanceState.SERVING),
            )
            for pool in SITE.pools
            for one in pool.instances
        }
        self.router = SiteRouter(classes, self.engines.values())
        if obeyed is not None:
            self.router.obey(obeyed)

    def on(self, instance_id: str) -> int:
        return self.engines[InstanceId(instance_id)].in_flight

    def in_flight(self) -> list[int]:
        return [engine.in_flight for engine in self.engines.values()]

    def queued(self) -> list[int]:
        return [demand.queued for demand in self.router.observe(0.0).demand]


def test_the_shares_of_the_table_are_kept_in_tokens() -> None:
    routed = Routed(table(a=3.0, b=1.0))
    for n in range(400):
        routed.router.submit(request(n, output_tokens=5 + n % 37), 0.0)
        routed.router.finish(n)
    served = routed.router.counters[ANY].tokens_by_pool
    assert served[A] / (served[A] + served[B]) == pytest.approx(0.75, abs=0.01)


def test_new_shares_hold_from_the_table_that_brings_them() -> None:
    routed = Routed(table(a=1.0, b=0.0))
    for n in range(10):
        routed.router.submit(request(n), 0.0)
    routed.router.obey(table(2, a=1.0, b=1.0))
    for n in range(10, 20):
        routed.router.submit(request(n), 0.0)
    # The first ten are not made up for: of the others each pool gets half.
    assert [routed.on("a-0") + routed.on("a-1"), routed.on("b-0") + routed.on("b-1")] == [15, 5]


def test_within_a_pool_the_instance_with_the_fewest_requests_is_chosen() -> None:
    routed = Routed(table())
    for n in range(8):
        routed.router.submit(request(n), 0.0)
    assert routed.in_flight() == [2, 2, 2, 2]


def test_a_class_keeps_to_its_precisions() -> None:
    routed = Routed(table(a=0.01, b=1.0))
    for n in range(10):
        routed.router.submit(request(n, class_id=ONLY_A), 0.0)
    assert routed.in_flight() == [5, 5, 0, 0]


def test_without_a_table_everything_that_a_class_may_use_serves() -> None:
    routed = Routed(None)
    for n in range(4):
        routed.router.submit(request(n), 0.0)
    assert routed.in_flight() == [1, 1, 1, 1]
    assert routed.router.observe(0.0).acknowledged_sequence == -1


def test_a_draining_instance_gets_nothing_new_and_keeps_what_it_has() -> None:
    routed = Routed(table(a=1.0, b=0.0))
    routed.router.submit(request(0), 0.0)
    routed.router.submit(request(1), 0.0)
    routed.router.obey(table(2, a=1.0, b=0.0, draining=("a-0",)))
    for n in range(2, 6):
        routed.router.submit(request(n), 0.0)
    assert (routed.on("a-0"), routed.on("a-1")) == (1, 5)


def test_an_instance_that_is_off_gets_nothing() -> None:
    routed = Routed(table(a=1.0, b=0.0), off="a-0")
    for n in range(3):
        routed.router.submit(request(n), 0.0)
    assert (routed.on("a-0"), routed.on("a-1")) == (0, 3)


def test_caps_hold_requests_back_until_a_place_is_free() -> None:
    routed = Routed(table(cap=1))
    for n in range(10):
        routed.router.submit(request(n), 0.0)
    assert (routed.in_flight(), routed.queued()) == ([1, 1, 1, 1], [6, 0])
    routed.router.finish(0)
    assert sum(routed.in_flight()) == 3
    routed.router.send_waiting(0.0)
    assert (sum(routed.in_flight()), routed.queued()) == (4, [5, 0])


def test_who_comes_while_others_of_its_class_wait_waits_behind_them() -> None:
    routed = Routed(table(cap=1))
    for n in range(5):
        routed.router.submit(request(n), 0.0)
    routed.router.finish(0)
    routed.router.submit(request(5), 0.0)
    assert routed.queued() == [2, 0]
    routed.router.send_waiting(0.0)
    assert routed.router.under_way(4).index == 4
    assert routed.queued() == [1, 0]


def test_a_class_without_a_place_does_not_hold_up_another() -> None:
    routed = Routed(table(draining=("a-0", "a-1")))
    routed.router.submit(request(0, class_id=ONLY_A), 0.0)
    routed.router.submit(request(1), 0.0)
    assert (routed.in_flight(), routed.queued()) == ([0, 0, 1, 0], [0, 1])


def test_a_class_of_higher_priority_gets_the_places_that_become_free() -> None:
    classes = (RequestClass(ANY, priority=-1), *SITE.classes[1:])
    routed = Routed(table(cap=1, draining=("a-1", "b-0", "b-1")), classes)
    for n in range(4):
        routed.router.submit(request(n, class_id=ANY if n < 3 else ONLY_A), 0.0)
    routed.router.finish(0)
    routed.router.send_waiting(0.0)
    assert routed.queued() == [2, 0]
    assert routed.router.under_way(3).class_id == ONLY_A


def test_what_is_lost_with_an_engine_is_neither_served_nor_in_flight() -> None:
    routed = Routed(table())
    routed.router.submit(request(0, output_tokens=30), 0.0)
    assert routed.router.busy
    routed.router.lose(0)
    counters = routed.router.counters[ANY]
    assert (counters.asked.output_tokens, counters.lost.output_tokens, counters.served.requests) == (30, 30, 0)
    assert routed.in_flight() == [0, 0, 0, 0]
    assert not routed.router.busy


def test_a_class_that_the_site_does_not_know_is_an_error() -> None:
    with pytest.raises(KeyError, match="unheard"):
        Routed(table()).router.submit(dataclasses.replace(request(0), class_id="unheard"), 0.0)
