"""A controller that writes replicas: pods come where the plan wants more, and go once they are drained.

Real processes; engines and GPUs are EMULATED, the API server is `tests.fakes.kube`, and in the place of Kubernetes' own
controllers the test makes pods of replicas.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.kubernetes.client import FIELD_MANAGER
from controller.kubernetes.marks import GOES_FIRST
from tests.fakes.controller_pair import Controllers
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.faults import Recorded
from tests.fakes.kube.kinds import AUTOSCALERS, DEPLOYMENTS, PODS, SCALED_OBJECTS, Resource
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.samples import autoscaler, deployment, pod, scaled_object
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System, get, post
from tests.integration.test_pods import NAMESPACE, pods_under_control, tell, tell_end, until
from tests.integration.test_pods import PODS as NAMES

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]


CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}
GOES_S = 2.0
"""Time for which a pod that is taken off terminates, and serves what it has."""


class Clients:
    """Ask for one answer after the other, count what is answered, and keep what is refused."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.answered = 0
        self.refused: list[tuple[int, bytes]] = []
        self.is_over = False

    async def ask(self) -> None:
        body = {**CHAT, "model": self.system.document["model"]}
        while not self.is_over:
            status, told = await asyncio.to_thread(post, f"{self.system.public}/v1/chat/completions", body)
            if status == 200:
                self.answered += 1
            else:
                self.refused.append((status, told))


def running(emulated: System, name: str) -> int:
    """Requests in the engine of a pod."""
    every = (each for pool in emulated.document["pools"] for each in pool["instances"])
    url = next(each["url"] for each in every if each["name"] == name)
    text = get(f"{url}/metrics")[1].decode()
    found = re.findall(r"^vllm:num_requests_(?:running|waiting)\S* (\S+)", text, re.M)
    assert found, text
    return sum(int(float(value)) for value in found)


@contextlib.asynccontextmanager
async def asking(system: System, count: int = 3) -> AsyncIterator[Clients]:
    """Clients that ask all the time, of whom none may be refused."""
    clients = Clients(system)
    tasks = [asyncio.create_task(clients.ask()) for _ in range(count)]
    try:
        yield clients
    finally:
        clients.is_over = True
        await asyncio.gather(*tasks)
    assert clients.answered
    assert clients.refused == []


class Workloads:
    """Deployments whose replicas become pods; the one that is marked goes first, else the last.

    Attributes:
        there: pods of each pool that do not terminate.
        going: until when others do.
        taken: requests that a pod had as it was taken off.
    """

    def __init__(self, kube: KubeServer, **replicas: int) -> None:
        self.kube = kube
        self.there = {pool: list(NAMES[pool][:count]) for pool, count in replicas.items()}
        self.going: dict[str, float] = {}
        self.taken: dict[str, int] = {}
        for pool, count in replicas.items():
            kube.store.create(DEPLOYMENTS, NAMESPACE, deployment(f"vllm-{pool}", count), Writer("kubectl"))
            for name in NAMES[pool]:
                kube.store.create(PODS, NAMESPACE, pod(name))

    def replicas(self, pool: str) -> int:
        return int(self.kube.store.get(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}")["spec"]["replicas"])

    def follow(self, emulated: System) -> None:
        """Make as many pods as there are to be."""
        now_s = asyncio.get_running_loop().time()
        self.going = {name: ends_s for name, ends_s in self.going.items() if ends_s > now_s}
        for pool, there in self.there.items():
            while len(there) > self.replicas(pool):
                self._take(emulated, pool, next(filter(self.is_marked, there), there[-1]), now_s + GOES_S)
            others = [name for name in NAMES[pool] if name not in there and name not in self.going]
            for name in others[: self.replicas(pool) - len(there)]:
                self.kube.store.delete(PODS, NAMESPACE, name)
                self.kube.store.create(PODS, NAMESPACE, pod(name))
                there.append(name)
            tell(self.kube, emulated, pool, *there, *self.going)
            self.settle(pool)

    def _take(self, emulated: System, pool: str, name: str, ends_s: float) -> None:
        def terminating(found: dict[str, Any]) -> dict[str, Any]:
            return {**found, "metadata": found["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}

        self.taken[name], self.going[name] = running(emulated, name), ends_s
        self.there[pool].remove(name)
        self.kube.store.change(PODS, NAMESPACE, name, terminating)
        tell_end(self.kube, pool, name)

    def settle(self, pool: str) -> None:
        """Tell how many pods there are, as Kubernetes does."""
        count = len(self.there[pool])

        def changed(found: dict[str, Any]) -> dict[str, Any]:
            return {**found, "status": {**found.get("status", {}), "replicas": count}}

        writer = Writer("kube-controller-manager", "status")
        self.kube.store.change(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}", changed, writer)

    def is_marked(self, name: str) -> bool:
        found = self.kube.store.get(PODS, NAMESPACE, name)
        return GOES_FIRST in (found["metadata"].get("annotations") or {})


@contextlib.asynccontextmanager
async def following(workloads: Workloads, emulated: System) -> AsyncIterator[None]:
    async def follow() -> None:
        while True:
            workloads.follow(emulated)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def scaled(document: dict[str, Any], **min_on: int) -> None:
    """Both pools may be scaled; nothing sleeps, and nothing waits."""
    for pool, least in min_on.items():
        workload = {"kind": "Deployment", "name": f"vllm-{pool}", "namespace": NAMESPACE, "mode": "act", "most": 2}
        quick = {"min_up_s": 0, "lower_after_s": 0, "can_sleep": False}
        document["plan"]["pools"][pool] |= {"workload": workload, "min_on": least, **quick}
    document["plan"]["warmup_s"] = 1


@contextlib.asynccontextmanager
async def controlled(
    folder: Path, kube: KubeServer, workloads: Workloads, **min_on: int
) -> AsyncIterator[tuple[System, Path]]:
    """A controller that may scale, while pods follow its replicas: it, and its log."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig(folder, kube)))
        change = functools.partial(scaled, **min_on)
        async with pods_under_control(folder, kube, change) as (emulated, system), following(workloads, emulated):
            yield system, system.folder / "controller.log"


async def test_pods_come_where_the_plan_wants_more_and_go_once_drained_and_no_request_is_lost(tmp_path: Path) -> None:
    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1, fp8=2)
        async with controlled(tmp_path, kube, workloads, bf16=2, fp8=0) as (system, _), asking(system):
            await until(system, lambda: workloads.there["bf16"] == list(NAMES["bf16"]), "a pod comes")
            await until(system, lambda: len(workloads.there["fp8"]) < 2, "one that is not needed goes")
            assert all(workloads.is_marked(name) for name in NAMES["fp8"] if name not in workloads.there["fp8"])
            await asyncio.sleep(2 * GOES_S)
            assert not any(workloads.taken.values()), "what is taken off was drained before"
            entries = kube.store.get(DEPLOYMENTS, NAMESPACE, "vllm-bf16")["metadata"]["managedFields"]
            assert FIELD_MANAGER in {entry["manager"] for entry in entries}


async def is_told(system: System, log: Path, told: str) -> None:
    """Log, page and metrics say who writes the replicas."""
    await until(system, lambda: told in log.read_text(), "it is told")
    await until(system, lambda: any(told in each["reason"] for each in system.state()["ladder"]), "on the page")
    failed = 'wattroute_controller_actuations_total{outcome="failed",verb="start"}'
    await until(system, lambda: sample(system.api, failed) >= 1, "in the metrics")


@pytest.mark.parametrize(
    ("kind", "owner", "told"),
    [
        (AUTOSCALERS, autoscaler("theirs", "vllm-bf16"), "HorizontalPodAutoscaler theirs scales"),
        (SCALED_OBJECTS, scaled_object("theirs", "vllm-bf16"), "ScaledObject theirs scales"),
    ],
    ids=["HPA", "KEDA"],
)
async def test_replicas_that_an_autoscaler_writes_are_left_to_it_and_that_is_told(
    kind: Resource, owner: dict[str, Any], told: str, tmp_path: Path
) -> None:
    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1)
        kube.store.create(kind, NAMESPACE, owner)
        async with controlled(tmp_path, kube, workloads, bf16=2) as (system, log):
            await is_told(system, log, told)
            assert workloads.replicas("bf16") == 1


async def test_replicas_that_somebody_else_takes_over_are_left_to_them_and_that_is_told(tmp_path: Path) -> None:
    def to_one(found: dict[str, Any]) -> dict[str, Any]:
        return {**found, "spec": found["spec"] | {"replicas": 1}}

    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1)
        async with controlled(tmp_path, kube, workloads, bf16=2) as (system, log):
            await until(system, lambda: workloads.there["bf16"] == list(NAMES["bf16"]), "a pod comes")
            kube.store.change(DEPLOYMENTS, NAMESPACE, "vllm-bf16", to_one, Writer("their-scaler", "scale"))
            await is_told(system, log, "'their-scaler' has taken over the replicas")
            assert workloads.replicas("bf16") == 1


def sample(api: str, name: str) -> float:
    """A figure of the controller there; 0 where it tells none."""
    found = re.search(rf"^{re.escape(name)} (\S+)", get(f"{api}/metrics")[1].decode(), re.M)
    return 0.0 if found is None else float(found[1])


def decided(api: str) -> float:
    """How often the controller there has decided."""
    return sample(api, "wattroute_controller_tick_seconds_count")


@pytest.mark.parametrize("fault", ["forbidden", "frozen"])
async def test_an_api_server_that_refuses_or_is_silent_while_replicas_are_written_costs_time_alone(
    fault: str, tmp_path: Path
) -> None:
    def writes(request: Recorded) -> bool:
        return request.method in ("PUT", "PATCH") and request.path.endswith("/scale")

    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1)
        kube.faults.add({"forbidden": 403, "frozen": None}[fault], writes, times=None)
        async with controlled(tmp_path, kube, workloads, bf16=2) as (system, log):
            await until(system, lambda: "instance command failed" in log.read_text(), "it is told")
            assert workloads.replicas("bf16") == 1
            ticks = await asyncio.to_thread(decided, system.api)
            await until(system, lambda: decided(system.api) > ticks + 2, "it goes on to decide")
            kube.faults.clear()
            await until(system, lambda: workloads.there["bf16"] == list(NAMES["bf16"]), "a pod comes once it may")
            assert workloads.replicas("bf16") == 2


@contextlib.asynccontextmanager
async def one_of_two(
    folder: Path, kube: KubeServer, workloads: Workloads, **min_on: int
) -> AsyncIterator[tuple[System, System, Controllers]]:
    """The emulated pods, router and two controllers of which `a` leads, while no pods follow replicas."""
    config = kubeconfig(folder, kube)
    kube.verbs.follows_scale = False
    for pool in workloads.there:
        workloads.settle(pool)

    def among_several(document: dict[str, Any]) -> None:
        scaled(document, **min_on)
        document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
        document["table"] |= {"url": None, "redis_url": redis.url}

    async with (
        running_redis() as redis,
        pods_under_control(folder, kube, among_several, commands=("router",)) as (emulated, system),
    ):
        for pool, there in workloads.there.items():
            tell(kube, emulated, pool, *there)
        with contextlib.closing(Controllers(system, config)) as pair:
            yield emulated, system, pair


def serves(system: System) -> bool:
    """Whether the router goes by a table."""
    return bool(json.loads(get(f"{system.admin}/state")[1])["table"]["sequence"])


async def start(pair: Controllers) -> None:
    for name in ("a", "b"):
        await asyncio.to_thread(pair.start, name)


def written_to(kube: KubeServer, pool: str) -> list[int]:
    """Replicas that were asked for, in turn."""
    put = kube.asked(lambda request: is_put(request) and request.path.endswith(f"vllm-{pool}/scale"))
    return [int(request.body["spec"].get("replicas", 0)) for request in put]


def is_put(request: Recorded) -> bool:
    return request.method == "PUT" and request.path.endswith("/scale")


async def test_who_takes_over_in_the_middle_of_a_scale_down_takes_no_further_pod(tmp_path: Path) -> None:
    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1, fp8=2)
        async with one_of_two(tmp_path, kube, workloads, bf16=1, fp8=0) as (emulated, system, pair):
            await start(pair)
            await until(system, lambda: pair.state("a")["election"]["has_standby"] is True, "b stands by")
            await until(system, lambda: workloads.replicas("fp8") == 1, "a takes one off, which is still there")
            pair.signal("a", signal.SIGKILL)
            await until(system, lambda: pair.state("b")["election"]["role"] == "leader", "b leads")
            ticks = await asyncio.to_thread(decided, pair.api("b"))
            await until(system, lambda: decided(pair.api("b")) > ticks + 5, "b decides")
            assert workloads.replicas("fp8") == 1, "what is going already is not counted twice"
            async with following(workloads, emulated):
                await until(system, lambda: len(workloads.there["fp8"]) == 1, "the one that was marked goes")
                assert not any(workloads.is_marked(name) for name in workloads.there["fp8"])
            written = written_to(kube, "fp8")
            assert written[0] == 1
            assert written == sorted(written, reverse=True), "it never comes back"


@pytest.mark.parametrize("frozen_at", ["PATCH", "PUT"])
async def test_a_leader_that_freezes_in_the_middle_of_a_scale_down_writes_nothing_once_it_wakes(
    frozen_at: str, tmp_path: Path
) -> None:
    async with kube_server() as kube:
        workloads, frozen = Workloads(kube, bf16=1, fp8=2), []
        async with one_of_two(tmp_path, kube, workloads, bf16=1, fp8=1) as (emulated, system, pair):

            def freeze(request: Recorded) -> bool:
                marks = request.method == "PATCH" and (request.body["metadata"]["annotations"] or {}).get(GOES_FIRST)
                if "b" in pair.processes and not frozen and (is_put(request) if frozen_at == "PUT" else marks):
                    frozen.append(pair.signal("a", signal.SIGSTOP))
                return False

            kube.faults.add(500, freeze)
            async with following(workloads, emulated):
                await start(pair)
                await until(system, lambda: serves(system), "the router has a table")
                async with asking(system):
                    await until(system, lambda: bool(frozen), "a begins to take one off")
                    await until(system, lambda: pair.state("b")["election"]["role"] == "leader", "b leads")
                    await until(system, lambda: len(workloads.there["fp8"]) == 1, "one goes")
                    pair.signal("a", signal.SIGCONT)
                    await until(system, lambda: pair.state("a")["election"]["role"] == "standby", "a stands by")
                    ticks = await asyncio.to_thread(decided, pair.api("b"))
                    await until(system, lambda: decided(pair.api("b")) > ticks + 3, "b decides")
            assert written_to(kube, "fp8") == [1]
            assert not any(workloads.taken.values()), "what is taken off was drained before"
            assert not any(workloads.is_marked(name) for name in workloads.there["fp8"])
