"""Scripts of troubles, and what they are judged by; one short script is played with real processes."""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

import pytest

from tests.bench.troubles import judge
from tests.bench.troubles.__main__ import Played, line, play
from tests.bench.troubles.crowd import WHOLE, Asked
from tests.bench.troubles.judge import Look, Requests
from tests.bench.troubles.part import LOOK_S, Part
from tests.bench.troubles.script import Group, Kind, Trouble, drawn
from tests.bench.troubles.site import GROUPS as ALL_PARTS
from tests.bench.troubles.site import LEAST, MOST
from tests.fakes.moved_clock import LIBRARY

ROUTERS = ("r0", "r1")
GROUPS = (
    Group("router", 2, {Kind.KILL: 5.0, Kind.FREEZE: 8.0}, rest_s=4.0),
    Group("redis", 1, {Kind.KILL: 8.0}, rest_s=6.0),
)
KILLED = Trouble(10.0, 4.0, "router", 0, Kind.KILL)
BROKEN = Trouble(10.0, 4.0, "engine", 1, Kind.FREEZE)
BEGIN_S = 1000.0


@pytest.mark.parametrize("seed", range(20))
def test_of_parts_that_stand_in_for_one_another_one_at_a_time_is_in_trouble(seed: int) -> None:
    script = drawn(GROUPS, 300.0, 1.0, random.Random(seed))
    assert {each.group for each in script} == {"router", "redis"}
    assert {each.number for each in script if each.group == "router"} == {0, 1}
    assert all(each.end_s <= 300.0 and each.lasts_s > 0.0 for each in script)
    for group in GROUPS:
        mine = [each for each in script if each.group == group.name]
        assert all(each.kind in group.kinds and each.lasts_s <= group.kinds[each.kind] for each in mine)
        assert all(a.end_s + group.rest_s <= b.at_s for a, b in itertools.pairwise(mine))


def test_groups_are_in_trouble_at_the_same_time_and_a_seed_draws_the_same_again() -> None:
    script = drawn(GROUPS, 300.0, 1.0, random.Random(7))
    assert script == drawn(GROUPS, 300.0, 1.0, random.Random(7)) != drawn(GROUPS, 300.0, 1.0, random.Random(8))
    assert any(a.group != b.group and b.at_s < a.end_s for a, b in itertools.pairwise(script))


def asked(outcome: str, at_s: float = 11.0, *, router: str = "r0", has_begun: bool = False) -> Asked:
    return Asked(router, BEGIN_S + at_s, BEGIN_S + at_s + 0.5, has_begun, outcome)


@pytest.mark.parametrize(
    ("request_", "script", "counted"),
    [
        (asked(WHOLE), [KILLED], Requests(1, 0, 0, {})),
        (asked("ClientOSError"), [KILLED], Requests(0, 1, 0, {})),
        (asked("ClientOSError", router="r1"), [KILLED], Requests(0, 0, 0, {"ClientOSError at 11.0 s of r1": 1})),
        (asked("ClientOSError", 16.0), [KILLED], Requests(0, 0, 0, {"ClientOSError at 16.0 s of r0": 1})),
        (asked("ClientOSError", 9.0), [KILLED], Requests(0, 0, 0, {"ClientOSError at 9.0 s of r0": 1})),
        (asked("cut off", has_begun=True), [BROKEN], Requests(0, 0, 1, {})),
        (asked("503 no_instance"), [BROKEN], Requests(0, 0, 0, {"503 no_instance at 11.0 s of r0": 1})),
        (asked("cut off", has_begun=True), [KILLED], Requests(0, 1, 0, {})),
        (asked("cut off", has_begun=True), [], Requests(0, 0, 0, {"cut off at 11.0 s of r0": 1})),
    ],
)
def test_what_is_not_whole_is_lost_unless_what_it_hung_on_was_broken(
    request_: Asked, script: list[Trouble], counted: Requests
) -> None:
    assert judge.requests([request_], script, BEGIN_S, ROUTERS) == counted


def look(at_s: float, first: int, second: int, *leaders: str, has_call: bool | None = True) -> Look:
    return Look(BEGIN_S + at_s, {"r0": first, "r1": second}, leaders, has_call)


def test_tables_may_be_missing_but_never_go_back_at_a_router_that_lives() -> None:
    looks = [look(1.0, 7, 7, "c0"), look(2.0, -1, 8, "c0"), look(3.0, 6, 8, "c0")]
    (fault,) = judge.faults(looks, [], BEGIN_S, ROUTERS)
    assert "r0 went back from 7 to 6" in fault
    assert judge.faults([look(1.0, 7, 7, "c0"), look(15.0, 6, 8, "c0")], [KILLED], BEGIN_S, ROUTERS) == []


def test_two_lead_where_it_is_seen_twice_and_a_call_is_forgotten_where_the_leader_does_not_have_it() -> None:
    looks = [look(1.0, 7, 7, "c0", "c1"), look(2.0, 7, 7, "c1"), look(3.0, 7, 7, has_call=None)]
    assert judge.faults(looks, [], BEGIN_S, ROUTERS) == []
    (fault,) = judge.faults([look(1.0, 7, 7, "c0", "c1"), look(2.0, 7, 7, "c0", "c1")], [], BEGIN_S, ROUTERS)
    assert "lead" in fault
    (fault,) = judge.faults([look(1.0, 7, 7, "c0", has_call=False)], [], BEGIN_S, ROUTERS)
    assert "knows nothing of the call" in fault


def test_replicas_are_out_of_bounds_below_the_least_and_above_the_most() -> None:
    assert judge.out_of_bounds([1, 2, 0, 3, 4], 1, 3) == [0, 4]


def test_a_script_is_told_in_a_line() -> None:
    played = Played(3, (KILLED, BROKEN), Requests(1200, 2, 1, {"503 no_instance": 4}), 0.44, (2, 1, 2), 1, ())
    assert line(played) == "| 3 | 2 | 2 | 1,200 | 2 | 1 | 4 x 503 no_instance | 0.4 | 3: 1 to 2 | 1 | none |"
    silent = Played(3, (), Requests(0, 0, 0, {}), None, (), 0, ("c0 ended with 1",))
    assert line(silent) == "| 3 | 0 | 0 | 0 | 0 | 0 | 0 | never | 0: none | 0 | c0 ended with 1 |"


@pytest.mark.timeout(120)
async def test_a_part_that_ends_by_itself_is_started_again_and_one_that_is_killed_is_not(tmp_path: Path) -> None:
    part = Part("c0", "controller", tmp_path / "c0", {"model": None})
    part.start()
    keeping = asyncio.create_task(part.keep_forever())
    while len(part.ends) < 2:
        await asyncio.sleep(LOOK_S)
    assert set(part.ends) == {2}
    part.kill()
    count = len(part.ends)
    await asyncio.sleep(2 * LOOK_S)
    assert (len(part.ends), part.is_running) == (count, False)
    keeping.cancel()


@pytest.mark.e2e
@pytest.mark.xdist_group("system")
@pytest.mark.timeout(400)
@pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed: make servers")
async def test_a_fleet_outlives_what_befalls_all_of_its_parts(tmp_path: Path) -> None:
    played = await play(tmp_path, seed=9, seconds=60.0, every_s=4.0)
    assert {each.group for each in played.script} == {group.name for group in ALL_PARTS}
    assert {each.kind for each in played.script} == set(Kind)
    assert played.requests.whole > 100
    assert played.requests.lost == {}
    assert played.faults == ()
    assert played.converged_s is not None
    assert played.written
    assert all(LEAST <= count <= MOST for count in played.written)
