"""Marks of pods, on a fake API server that speaks HTTP."""

import asyncio
from dataclasses import replace

import pytest

from controller.clock import VirtualClock
from controller.errors import ActuationError
from controller.kubernetes.client import opened_client
from controller.kubernetes.marks import COST, GOES_FIRST, RETRY_S, Marks, opened_marks
from controller.kubernetes.owners import Workload
from controller.model.fleet import Instance
from router.contract import InstanceId, PoolId
from tests.fakes.controller_parts import NOW_S, commands, pool, site
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.kinds import PODS
from tests.fakes.kube.samples import pod
from tests.fakes.kube.server import kube_server

NAMESPACE = "llm"
OURS, SET, OTHERS = PoolId("ours"), PoolId("set"), PoolId("others")
NAMES = {OURS: ("a-0", "a-1"), SET: ("set-0",), OTHERS: ("o-0",)}
DEPLOYMENT = Workload("Deployment", "a", NAMESPACE)
WORKLOADS = {OURS: DEPLOYMENT, SET: Workload("StatefulSet", "set", NAMESPACE)}


def fleet():
    made = []
    for pool_id, pods in NAMES.items():
        there = tuple(Instance(InstanceId(each), f"http://{each}:8000") for each in pods)
        made.append(replace(pool(pool_id, ()), instances=there))
    return site(*made)


class Parts:
    def __init__(self, server, marks, clock):
        self.server, self.marks, self.clock = server, marks, clock

    async def table(self, *resting):
        """Tell a table in which these get nothing, and wait for what follows."""
        told = commands()
        table = replace(told.table, draining=tuple(InstanceId(name) for name in resting))
        try:
            return await self.marks.apply(replace(told, table=table))
        finally:
            while self.marks.is_cleaning:
                await asyncio.sleep(0.01)

    def change(self, name, **metadata):
        def changed(found):
            return {**found, "metadata": found["metadata"] | metadata}

        self.server.store.change(PODS, NAMESPACE, name, changed)

    def mark_of(self, name):
        return (self.server.store.get(PODS, NAMESPACE, name)["metadata"].get("annotations") or {}).get(GOES_FIRST)

    @property
    def patches(self):
        return len(self.server.asked(lambda request: request.method == "PATCH"))


@pytest.fixture
async def parts(tmp_path, monkeypatch):
    async with kube_server() as server:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, server)))
        for name in sum(NAMES.values(), ()):
            server.store.create(PODS, NAMESPACE, pod(name))
        clock = VirtualClock(NOW_S)
        async with opened_client() as client, opened_marks(Marks(client, WORKLOADS, fleet, clock)) as marks:
            yield Parts(server, marks, clock)


async def test_marks_of_whoever_are_taken_off_the_pods_of_deployments_that_serve_and_off_no_others(parts):
    for name in sum(NAMES.values(), ()):
        parts.change(name, annotations={GOES_FIRST: COST})
    await parts.table("a-1")
    marks = {name: parts.mark_of(name) for name in sum(NAMES.values(), ())}
    assert marks == {"a-0": None, "a-1": COST, "set-0": COST, "o-0": COST}
    await parts.table("a-1")
    assert parts.patches == 1, "once is enough"
    parts.marks.forget()
    await parts.table("a-1")
    assert parts.patches == 2, "another controller may have marked it"
    await parts.table()
    assert parts.mark_of("a-1") is None


async def test_a_pod_that_is_marked_is_doubtful_until_its_mark_is_off_whether_or_not_that_was_answered(parts):
    await parts.table()
    assert parts.marks.doubtful() == []
    parts.server.faults.add(500, lambda request: request.method == "PATCH")
    with pytest.raises(Exception, match="patch: 500"):
        await parts.marks.set(DEPLOYMENT, InstanceId("a-0"))
    assert await parts.marks.set(DEPLOYMENT, InstanceId("a-1")) is False
    assert parts.mark_of("a-1") == COST
    assert (parts.marks.doubtful(OURS), parts.marks.doubtful(SET)) == (["a-0", "a-1"], [])
    await parts.marks.clear(OURS)
    assert (parts.marks.doubtful(), parts.mark_of("a-1")) == ([], None)
    parts.marks.doubt([InstanceId("a-0")])
    assert parts.marks.doubtful() == ["a-0"]


async def test_of_a_pod_that_is_marked_it_is_told_whether_it_goes_already(parts):
    parts.change("a-1", deletionTimestamp="2026-01-01T00:00:00Z")
    assert await parts.marks.set(DEPLOYMENT, InstanceId("a-1")) is True


async def test_a_mark_that_cannot_be_taken_off_is_told_and_tried_again_after_a_while(parts):
    parts.server.faults.add(403, lambda request: request.method == "PATCH", times=2)
    await parts.table("a-1")
    for _ in range(2):
        with pytest.raises(ActuationError, match=r"pods that serve: a mark cannot be taken off: .*403"):
            await parts.table("a-1")
    assert parts.patches == 1, "not at once"
    with pytest.raises(ActuationError, match=r"a-0: its mark cannot be taken off, and it serves: .*403"):
        await parts.marks.clear(OURS)
    parts.clock.advance(RETRY_S)
    with pytest.raises(ActuationError):
        await parts.table("a-1")
    assert await parts.table("a-1") == ()


async def test_a_pod_that_is_not_there_bears_no_mark(parts):
    parts.server.store.delete(PODS, NAMESPACE, "a-0")
    assert await parts.marks.take_off(InstanceId("a-0"))
    assert await parts.marks.take_off(InstanceId("o-0")), "nor does one that is none of its"
    assert parts.mark_of("o-0") is None
    assert parts.marks.there() == {"a-0", "a-1", "set-0"}


async def test_at_the_end_what_is_under_way_is_given_up(parts):
    parts.server.faults.frozen = True
    told = commands()
    await parts.marks.apply(told)
    assert parts.marks.is_cleaning
    async with asyncio.timeout(10):
        await parts.marks.close()
    assert not parts.marks.is_cleaning
