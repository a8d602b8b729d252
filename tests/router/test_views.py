"""What a worker tells of itself."""

from __future__ import annotations

from router.allocation import Allocation
from router.contract import InstanceId
from router.fleet import EngineLoad
from router.parts import Parts, make_parts
from router.snapshot import InstanceView, Snapshot
from router.views import snapshot_of
from tests.fakes.routing import NOW_S, router_file

SETTINGS = router_file({"bf16": 1, "fp8": 1})


def told(parts: Parts, now_s: float = NOW_S) -> Snapshot:
    return snapshot_of(parts, Allocation(SETTINGS.table, parts.fleet, parts.policies), now_s)


def test_an_instance_is_told_with_its_state_its_cap_and_the_age_of_its_probe() -> None:
    parts = make_parts(SETTINGS, ())
    slot = parts.fleet.slots[InstanceId("bf16-0")]
    slot.pool.count(slot, 1)
    parts.fleet.probed(slot, ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    asleep, unprobed = told(parts, NOW_S + 3).instances
    assert asleep == InstanceView("bf16-0", "bf16", "bf16", slot.spec.url, "asleep", 1, 4, False, probe_age_s=3.0)
    assert (unprobed.state, unprobed.in_flight, unprobed.probe_age_s) == ("up", 0, None)


def test_a_clock_set_back_makes_no_negative_age() -> None:
    parts = make_parts(SETTINGS, ())
    parts.fleet.probed(parts.fleet.slots[InstanceId("bf16-0")], ok=True, load=None, now_s=NOW_S)
    assert told(parts, NOW_S - 60).instances[0].probe_age_s == 0.0


def test_it_is_ready_while_any_instance_can_take_a_request() -> None:
    parts = make_parts(SETTINGS, ())
    assert told(parts).ready
    for slot in parts.fleet.slots.values():
        parts.fleet.probed(slot, ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    assert not told(parts).ready
