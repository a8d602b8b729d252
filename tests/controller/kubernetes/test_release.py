"""Pods that are let go, on a fake API server that speaks HTTP."""

import asyncio
from dataclasses import replace

import pytest

from controller.clock import VirtualClock
from controller.errors import ActuationError
from controller.kubernetes.client import opened_client
from controller.kubernetes.marks import COST, GOES_FIRST, RETRY_S
from controller.kubernetes.owners import Workload
from controller.kubernetes.release import Release, opened_release
from controller.model.fleet import Instance
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import InstanceCommand, Verb
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, commands, pool, site
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.kinds import PODS
from tests.fakes.kube.samples import pod
from tests.fakes.kube.server import kube_server

NAMESPACE = "llm"
AWAKE, ASLEEP, LAST, OTHERS = "awake", "asleep", "last", "others"
NAMES = {AWAKE: ("a-0", "a-1"), ASLEEP: ("s-0",), LAST: ("set-0", "set-1", "10.0.0.1:8000"), OTHERS: ("o-0",)}
WORKLOADS = {
    PoolId(AWAKE): Workload("Deployment", "a", NAMESPACE),
    PoolId(ASLEEP): Workload("Deployment", "s", NAMESPACE),
    PoolId(LAST): Workload("StatefulSet", "set", NAMESPACE),
}


def fleet():
    made = []
    for name, pods in NAMES.items():
        there = tuple(Instance(InstanceId(each), f"http://{each}:8000") for each in pods)
        made.append(replace(pool(name, ()), instances=there, lets_go=True, rests_awake=name in (AWAKE, LAST)))
    return site(*made)


class Told:
    """A driver that notes what it is told."""

    def __init__(self):
        self.told = []

    async def carry_out(self, command):
        self.told.append((command.verb, command.instance_id))
        return "done"


class Parts:
    def __init__(self, server, release, clock):
        self.server, self.release, self.clock = server, release, clock
        self.engines, self.starting = Told(), Told()
        self.present = list(NAMES)
        self.driver = release.driver(self.engines, self.starting)

    async def do(self, verb, name):
        return await self.driver.carry_out(InstanceCommand(verb, InstanceId(name), "a test"))

    async def table(self, *draining):
        """Tell a table in which these get nothing, and wait for what follows."""
        told = commands()
        names = tuple(InstanceId(name) for name in draining)
        try:
            return await self.release.apply(replace(told, table=replace(told.table, draining=names)))
        finally:
            while self.release.marks.is_cleaning:
                await asyncio.sleep(0.01)

    def mark_of(self, name):
        return (self.server.store.get(PODS, NAMESPACE, name)["metadata"].get("annotations") or {}).get(GOES_FIRST)

    def shown(self, name, state=InstanceState.SERVING):
        seen = InstanceObservation(InstanceId(name), PoolId("any"), state, NOW_S, NOW_S)
        [after] = self.release.shown((seen,))
        return after.state, after.is_let_go


@pytest.fixture
async def parts(tmp_path, monkeypatch):
    async with kube_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server)))
        for names in NAMES.values():
            for name in names:
                server.store.create(PODS, NAMESPACE, pod(name))
        clock = VirtualClock(NOW_S)
        async with opened_client() as client, opened_release(Release(client, WORKLOADS, fleet, clock)) as release:
            yield Parts(server, release, clock)


async def test_a_drained_pod_of_a_deployment_is_marked_and_then_shown_as_one_that_rests(parts):
    await parts.table("a-1")
    assert parts.shown("a-1") == (InstanceState.SERVING, False)
    for _ in range(2):
        assert await parts.do(Verb.SLEEP, "a-1") == "a-1 may be taken away from Deployment llm/a"
    assert parts.mark_of("a-1") == COST
    assert parts.shown("a-1") == (InstanceState.SLEEPING, True)
    assert parts.shown("a-1", InstanceState.UNREACHABLE) == (InstanceState.UNREACHABLE, True)
    assert parts.shown("a-0") == (InstanceState.SERVING, False)
    assert not parts.engines.told


async def test_a_table_that_sends_to_it_takes_it_back_and_its_mark_off(parts):
    await parts.table("a-1")
    await parts.do(Verb.SLEEP, "a-1")
    await parts.table("a-1")
    assert parts.mark_of("a-1") == COST
    await parts.table()
    assert parts.shown("a-1") == (InstanceState.SERVING, False)
    assert parts.mark_of("a-1") is None


async def test_marks_that_a_former_controller_left_on_pods_that_serve_are_taken_off_once(parts):
    for name in ("a-0", "o-0"):
        parts.server.store.change(PODS, NAMESPACE, name, marked)
    await parts.table("s-0")
    assert (parts.mark_of("a-0"), parts.mark_of("o-0")) == (None, COST), "pods of others are not touched"
    patched = len(parts.server.asked(lambda request: request.method == "PATCH"))
    assert patched == 2
    await parts.table("s-0")
    assert len(parts.server.asked(lambda request: request.method == "PATCH")) == patched
    parts.release.forget()
    await parts.table("s-0")
    assert len(parts.server.asked(lambda request: request.method == "PATCH")) == 2 * patched


async def test_what_another_controller_has_let_go_goes_on_to_be_and_nothing_that_is_not_there(parts):
    parts.server.store.change(PODS, NAMESPACE, "a-1", marked)
    parts.release.adopt(("a-1", "gone"))
    assert parts.shown("a-1") == (InstanceState.SLEEPING, True)
    await parts.table("a-1")
    assert (parts.shown("a-1"), parts.mark_of("a-1")) == ((InstanceState.SLEEPING, True), COST)
    await parts.table()
    assert (parts.shown("a-1"), parts.mark_of("a-1")) == ((InstanceState.SERVING, False), None)


def marked(found):
    return {**found, "metadata": found["metadata"] | {"annotations": {GOES_FIRST: COST}}}


async def test_who_may_not_patch_keeps_the_pod_and_is_told(parts):
    await parts.table("a-1", "a-0", "s-0")
    parts.server.faults.add(403, lambda request: request.method == "PATCH", times=None)
    with pytest.raises(ActuationError, match=r"a-1: it is kept, as it cannot be marked to go first: .*403"):
        await parts.do(Verb.SLEEP, "a-1")
    assert parts.shown("a-1") == (InstanceState.SERVING, False)
    parts.server.faults.clear()
    await parts.do(Verb.SLEEP, "a-1")
    parts.server.faults.add(403, lambda request: request.method == "PATCH", times=None)
    await parts.table("a-0", "s-0")
    assert parts.shown("a-1") == (InstanceState.SERVING, False), "it serves, whatever the API server says"
    with pytest.raises(ActuationError, match=r"pods that serve: a mark cannot be taken off: .*403"):
        await parts.table("a-0", "s-0")
    parts.server.faults.clear()
    with pytest.raises(ActuationError, match="cannot be taken off"):
        await parts.table("a-0", "s-0")
    assert parts.mark_of("a-1") == COST, "not tried again at once"
    parts.clock.advance(RETRY_S)
    with pytest.raises(ActuationError, match="cannot be taken off"):
        await parts.table("a-0", "s-0")
    assert parts.mark_of("a-1") is None
    assert await parts.table("a-0", "s-0") == ()


async def test_of_the_others_the_last_goes_without_a_mark_and_only_where_its_number_is_known(parts):
    await parts.table("set-1", "10.0.0.1:8000")
    await parts.do(Verb.SLEEP, "set-1")
    assert parts.shown("set-1") == (InstanceState.SLEEPING, True)
    with pytest.raises(ActuationError, match="its place among the pods of StatefulSet llm/set is not known"):
        await parts.do(Verb.SLEEP, "10.0.0.1:8000")
    assert await parts.do(Verb.WAKE, "set-1") == "it stays"
    assert parts.shown("set-1") == (InstanceState.SERVING, False)
    assert parts.mark_of("set-1") is None


async def test_engines_that_sleep_are_put_to_sleep_and_let_go_where_they_would_be_stopped(parts):
    await parts.table("s-0")
    await parts.do(Verb.SLEEP, "s-0")
    assert parts.mark_of("s-0") is None
    await parts.do(Verb.STOP, "s-0")
    assert parts.shown("s-0", InstanceState.SLEEPING) == (InstanceState.SLEEPING, True)
    assert parts.shown("s-0") == (InstanceState.SERVING, True), "woken by others it serves"
    assert await parts.do(Verb.WAKE, "s-0") == "done; it stays"
    assert parts.mark_of("s-0") is None
    assert parts.engines.told == [(Verb.SLEEP, "s-0"), (Verb.WAKE, "s-0")]
    assert not parts.starting.told


async def test_at_the_end_it_stays_even_if_its_mark_does(parts):
    await parts.table("a-1")
    await parts.do(Verb.SLEEP, "a-1")
    await parts.server.kill()
    assert "it stays, and bears its mark: pod llm/a-1: patch" in await parts.do(Verb.WAKE, "a-1")
    assert parts.shown("a-1") == (InstanceState.SERVING, False)


async def test_what_was_taken_back_while_it_was_marked_is_not_let_go(parts):
    await parts.table("a-1")
    parts.server.faults.add(403, lambda request: request.method == "PATCH", times=1)
    await parts.table()
    with pytest.raises(ActuationError, match="it was taken back meanwhile"):
        await parts.do(Verb.SLEEP, "a-1")
    assert parts.shown("a-1") == (InstanceState.SERVING, False)
    parts.clock.advance(RETRY_S)
    with pytest.raises(ActuationError, match="cannot be taken off"):
        await parts.table()
    assert parts.mark_of("a-1") is None


async def test_the_rest_is_for_others(parts):
    for verb in (Verb.SLEEP, Verb.WAKE, Verb.STOP):
        await parts.do(verb, "o-0")
    assert parts.engines.told == [(Verb.SLEEP, "o-0"), (Verb.WAKE, "o-0")]
    assert parts.starting.told == [(Verb.STOP, "o-0")]
    alone = parts.release.driver(parts.engines, None)
    with pytest.raises(ActuationError, match=r"set controller.supervisor_url"):
        await alone.carry_out(InstanceCommand(Verb.STOP, InstanceId("o-0"), "a test"))
    with pytest.raises(ActuationError, match="no such pod"):
        await parts.release.let_go(InstanceId("o-0"))
    assert set(alone.verbs) == {Verb.SLEEP, Verb.WAKE, Verb.STOP}
