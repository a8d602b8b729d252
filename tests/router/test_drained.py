"""When a drain is over."""

from __future__ import annotations

from router.dispatch import Dispatcher
from router.drained import Quiet, busy, wait_drained
from router.snapshot import Snapshot
from tests.fakes.routing import NOW_S, router_file


def test_a_drain_is_over_after_a_quiet_time_that_nothing_interrupts() -> None:
    quiet = Quiet(quiet_s=5.0)
    assert not quiet.is_over(0.0, is_draining=False, busy=0)
    assert not quiet.is_over(100.0, is_draining=True, busy=0)
    assert not quiet.is_over(104.0, is_draining=True, busy=1)
    assert not quiet.is_over(105.0, is_draining=True, busy=0)
    assert not quiet.is_over(109.9, is_draining=True, busy=0)
    assert quiet.is_over(110.0, is_draining=True, busy=0)


def test_requests_that_wait_count_as_those_in_flight_do() -> None:
    snapshot = Dispatcher(router_file()).state(NOW_S)
    assert busy(snapshot) == 0
    snapshot.classes[0].in_flight, snapshot.classes[-1].queued = 2, snapshot.classes[-1].queued + 3
    assert busy(snapshot) == 5


async def test_the_wait_tells_what_is_left_when_its_time_is_over() -> None:
    state = Dispatcher(router_file()).state(NOW_S)
    state.classes[0].in_flight = 7

    async def snapshot() -> Snapshot:
        return state

    assert await wait_drained(snapshot, lambda: True, wait_s=0.0, quiet_s=0.0) == 7
    state.classes[0].in_flight = 0
    assert await wait_drained(snapshot, lambda: False, wait_s=0.0, quiet_s=0.0) == 0
    assert await wait_drained(snapshot, lambda: True, wait_s=0.0, quiet_s=0.0) is None
