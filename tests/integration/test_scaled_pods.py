"""A controller that writes replicas: pods come where the plan wants more, and go once they are drained.

Real processes; engines and GPUs are EMULATED, the API server is `tests.fakes.kube`, and in the place of Kubernetes' own
controllers the test makes pods of replicas.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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
from tests.fakes.kube.kinds import AUTOSCALERS, DEPLOYMENTS, PODS
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.samples import autoscaler, deployment, pod
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System, get
from tests.integration.test_pods import NAMESPACE, pods_under_control, tell, until
from tests.integration.test_pods import PODS as NAMES

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]


class Workloads:
    """Deployments whose replicas become pods; the one that is marked goes first, else the last."""

    def __init__(self, kube: KubeServer, **replicas: int) -> None:
        self.kube = kube
        self.there = {pool: list(NAMES[pool][:count]) for pool, count in replicas.items()}
        for pool, count in replicas.items():
            kube.store.create(DEPLOYMENTS, NAMESPACE, deployment(f"vllm-{pool}", count), Writer("kubectl"))
            for name in NAMES[pool]:
                kube.store.create(PODS, NAMESPACE, pod(name))

    def replicas(self, pool: str) -> int:
        return int(self.kube.store.get(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}")["spec"]["replicas"])

    def follow(self, emulated: System) -> None:
        """Make as many pods as there are to be."""
        for pool, there in self.there.items():
            while len(there) > self.replicas(pool):
                there.remove(next(filter(self.is_marked, there), there[-1]))
            there += [name for name in NAMES[pool] if name not in there][: self.replicas(pool) - len(there)]
            tell(self.kube, emulated, pool, *there)
            self.settle(pool)

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


async def test_pods_come_where_the_plan_wants_more_and_go_once_drained(tmp_path: Path) -> None:
    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1, fp8=2)
        async with controlled(tmp_path, kube, workloads, bf16=2, fp8=0) as (system, _):
            await until(system, lambda: workloads.there["bf16"] == list(NAMES["bf16"]), "a pod comes")
            await until(system, lambda: len(workloads.there["fp8"]) < 2, "one that is not needed goes")
            assert all(workloads.is_marked(name) for name in NAMES["fp8"] if name not in workloads.there["fp8"])
            entries = kube.store.get(DEPLOYMENTS, NAMESPACE, "vllm-bf16")["metadata"]["managedFields"]
            assert FIELD_MANAGER in {entry["manager"] for entry in entries}


async def test_replicas_that_an_autoscaler_writes_are_left_to_it_and_that_is_told(tmp_path: Path) -> None:
    async with kube_server() as kube:
        workloads = Workloads(kube, bf16=1)
        kube.store.create(AUTOSCALERS, NAMESPACE, autoscaler("theirs", "vllm-bf16"))
        async with controlled(tmp_path, kube, workloads, bf16=2) as (system, log):
            told = "HorizontalPodAutoscaler theirs scales"
            await until(system, lambda: told in log.read_text(), "it is told")
            await until(system, lambda: any(told in each["reason"] for each in system.state()["ladder"]), "on the page")
            failed = 'wattroute_controller_actuations_total{outcome="failed",verb="start"}'
            await until(system, lambda: sample(system.api, failed) >= 1, "in the metrics")
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


async def test_who_takes_over_in_the_middle_of_a_scale_down_takes_no_further_pod(tmp_path: Path) -> None:
    async with kube_server() as kube, running_redis() as redis:
        config = kubeconfig(tmp_path, kube)
        kube.verbs.follows_scale = False
        workloads = Workloads(kube, bf16=1, fp8=2)
        for pool in workloads.there:
            workloads.settle(pool)

        def among_several(document: dict[str, Any]) -> None:
            scaled(document, bf16=1, fp8=0)
            document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
            document["table"] |= {"url": None, "redis_url": redis.url}

        async with pods_under_control(tmp_path, kube, among_several, commands=("router",)) as (emulated, system):
            for pool, there in workloads.there.items():
                tell(kube, emulated, pool, *there)
            with contextlib.closing(Controllers(system, config)) as pair:
                for name in ("a", "b"):
                    await asyncio.to_thread(pair.start, name)
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
                written = [
                    request.body["spec"].get("replicas", 0)
                    for request in kube.asked(lambda r: r.method == "PUT" and r.path.endswith("vllm-fp8/scale"))
                ]
                assert written[0] == 1
                assert written == sorted(written, reverse=True), "it never comes back"
