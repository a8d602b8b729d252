"""Slots, caps and usability of instances as one worker sees them."""

from __future__ import annotations

import pytest

from router.contract import InstanceId, PoolId
from router.discovery.static import list_instances
from router.exchange import Outcome
from router.fleet import EngineLoad, Fleet, extra_load
from router.settings import HealthSettings
from router.slot import Slot
from tests.fakes.routing import NOW_S, router_file


def fleet(numbers: dict[str, int] | None = None, *, cap: int = 4) -> Fleet:
    settings = router_file(numbers or {"bf16": 3}, cap=cap)
    return Fleet(
        list_instances(settings.pools),
        {PoolId(pool.name): pool.static_weight for pool in settings.pools},
        health=HealthSettings(),
    )


def slots_of(some: Fleet) -> list[Slot]:
    return list(some.slots.values())


def ids(slots: list[Slot]) -> list[str]:
    return [slot.spec.instance_id for slot in slots]


def test_free_counts_the_instances_with_a_slot() -> None:
    some = fleet(cap=2)
    pool = some.pools[PoolId("bf16")]
    first = slots_of(some)[0]
    assert pool.free == 3
    pool.count(first, 1)
    assert pool.free == 3
    pool.count(first, 1)
    assert pool.free == 2
    pool.count(first, -1)
    assert (pool.free, first.in_flight) == (3, 1)


def test_a_cap_lowered_below_what_is_in_flight_gives_no_slot_until_enough_have_ended() -> None:
    some = fleet(cap=4)
    pool = some.pools[PoolId("bf16")]
    first = slots_of(some)[0]
    for _ in range(4):
        pool.count(first, 1)
    some.constrain({first.spec.instance_id: 2}, frozenset())
    free = []
    for _ in range(3):
        pool.count(first, -1)
        free.append(pool.free)
    assert free == [2, 2, 3]


def test_a_share_holds_for_caps_of_tables_and_of_settings_and_outlasts_other_settings() -> None:
    some = fleet(cap=10)
    first, second, _ = slots_of(some)
    some.take_share(0.25)
    assert [slot.cap for slot in (first, second)] == [2, 2]
    some.constrain({first.spec.instance_id: 100}, frozenset())
    assert [slot.cap for slot in (first, second)] == [25, 2]
    some.take_share(0.01)
    assert [slot.cap for slot in (first, second)] == [1, 1]
    other = fleet(cap=40)
    other.adopt(some)
    other.constrain({}, frozenset())
    assert [slot.cap for slot in slots_of(other)] == [1, 1, 1]
    other.take_share(1.0)
    assert [slot.cap for slot in slots_of(other)] == [40, 40, 40]


def test_tables_close_instances_and_give_them_back() -> None:
    some = fleet()
    pool = some.pools[PoolId("bf16")]
    some.constrain({InstanceId("bf16-0"): 0}, frozenset({InstanceId("bf16-2")}))
    assert ids(pool.ready) == ["bf16-1"]
    some.constrain({}, frozenset())
    assert len(pool.ready) == 3


def test_suspects_are_used_only_when_none_is_up() -> None:
    some = fleet()
    pool = some.pools[PoolId("bf16")]
    for slot in slots_of(some)[:2]:
        some.ended(slot, Outcome.RESET)
    assert ids(pool.ready) == ["bf16-2"]
    assert pool.pick(None, (InstanceId("bf16-2"),)).spec.instance_id in ("bf16-0", "bf16-1")
    some.probed(slots_of(some)[2], ok=False, load=None, now_s=NOW_S)
    assert len(pool.ready) == 3, "all are suspect"


def test_an_instance_asleep_gets_nothing_though_it_answers_probes() -> None:
    some = fleet()
    pool = some.pools[PoolId("bf16")]
    first = slots_of(some)[0]
    some.probed(first, ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    assert first.state == "asleep"
    assert ids(pool.ready) == ["bf16-1", "bf16-2"]
    for slot in slots_of(some):
        some.probed(slot, ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S + 2)
    assert first.state == "up"
    assert len(pool.ready) == 3


def test_an_instance_asked_in_vain_gets_nothing_once_another_is_known_to_be_awake() -> None:
    some = fleet({"bf16": 2, "int4": 1})
    bf16, int4 = (some.pools[PoolId(name)] for name in ("bf16", "int4"))
    assert ids(bf16.ready + int4.ready) == ["bf16-0", "bf16-1", "int4-0"], "nothing is known: all are tried"
    some.probed(slots_of(some)[2], ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    assert ids(bf16.ready) == ["bf16-0", "bf16-1"], "one asleep says nothing of the others"
    some.probed(slots_of(some)[1], ok=True, load=None, now_s=NOW_S)
    assert ids(bf16.ready) == ["bf16-0", "bf16-1"], "nobody is known to be awake"
    some.probed(slots_of(some)[0], ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S)
    assert ids(bf16.ready + int4.ready) == ["bf16-0"]
    some.probed(slots_of(some)[1], ok=True, load=EngineLoad(0, 0, 0.0, awake=None), now_s=NOW_S)
    assert ids(bf16.ready) == ["bf16-0", "bf16-1"]


def test_an_instance_gets_its_share_while_it_is_asked_for_the_first_time() -> None:
    some = fleet({"bf16": 1, "int4": 1})
    bf16, int4 = slots_of(some)
    some.probed(int4, ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S)
    assert bf16.ready, "INT4 answered sooner, which is no reason to send everything there"
    some.probed(bf16, ok=True, load=None, now_s=NOW_S)
    assert not bf16.ready


def test_the_load_of_others_is_what_the_engine_has_beyond_ones_own() -> None:
    some = fleet()
    first = slots_of(some)[0]
    first.pool.count(first, 1)
    some.probed(first, ok=True, load=EngineLoad(5, 2, 0.4), now_s=NOW_S)
    assert (first.extra, first.load) == (6, 7)
    some.probed(first, ok=True, load=EngineLoad(0, 0, 0.0), now_s=NOW_S)
    assert (first.extra, first.load) == (0, 1)


@pytest.mark.parametrize(
    ("load", "in_flight", "expected"),
    [
        (EngineLoad(10, 0, 0.5), 10, 0),
        (EngineLoad(10, 0, 0.9), 10, 4),
        (EngineLoad(10, 10, 1.0), 4, 16 + 10),
        (EngineLoad(0, 0, 1.0), 3, 0),
        (EngineLoad(1, 0, 0.8), 5, 0),
    ],
)
def test_a_kv_cache_more_than_half_full_counts_as_more_requests(
    load: EngineLoad, in_flight: int, expected: int
) -> None:
    assert extra_load(load, in_flight) == expected


def test_stale_load_figures_are_forgotten_and_fresh_ones_kept() -> None:
    some = fleet()
    first = slots_of(some)[0]
    some.probed(first, ok=True, load=EngineLoad(5, 2, 0.4, awake=False), now_s=NOW_S)
    some.probed(first, ok=True, load=None, now_s=NOW_S + 9)
    assert (first.extra, first.sleeping) == (7, True)
    some.probed(first, ok=True, load=None, now_s=NOW_S + 11)
    assert (first.extra, first.sleeping) == (0, False)


def test_changes_of_the_ready_instances_are_counted() -> None:
    some = fleet()
    first = slots_of(some)[0]
    some.probed(first, ok=True, load=EngineLoad(0, 0, 0.0, awake=True), now_s=NOW_S)
    before = some.changes
    some.ended(first, Outcome.OK)
    some.probed(first, ok=True, load=EngineLoad(9, 0, 0.9, awake=True), now_s=NOW_S)
    assert some.changes == before
    some.ended(first, Outcome.RESET)
    assert some.changes == before + 1


def test_an_ejected_sleeper_shows_as_ejected() -> None:
    some = fleet()
    first = slots_of(some)[0]
    some.probed(first, ok=True, load=EngineLoad(0, 0, 0.0, awake=False), now_s=NOW_S)
    for _ in range(3):
        some.probed(first, ok=False, load=None, now_s=NOW_S)
    assert first.state == "ejected"


def test_a_load_that_is_told_says_nothing_of_health() -> None:
    some = fleet()
    first = slots_of(some)[0]
    for _ in range(3):
        some.probed(first, ok=False, load=None, now_s=NOW_S)
    some.probed(first, ok=None, load=EngineLoad(3, 1, 0.0, awake=True), now_s=NOW_S)
    assert (first.state, first.extra, first.probed_at_s) == ("ejected", 4, None)


def test_instances_at_which_requests_failed_are_told_once() -> None:
    some = fleet()
    first, second, third = slots_of(some)
    some.ended(first, Outcome.TIMED_OUT)
    some.ended(second, Outcome.CLIENT_ERROR)
    some.ended(third, Outcome.ENGINE_BUSY)
    assert some.take_doubted() == {first.spec.instance_id}
    assert some.take_doubted() == set()
