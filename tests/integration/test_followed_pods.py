"""A controller that tells how many pods are to be, and an autoscaler that follows: pods go once they are drained.

Real processes; engines and GPUs are EMULATED, the API server is `tests.fakes.kube`, and the test is the autoscaler.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.controller_pair import Controllers
from tests.fakes.kube.config import kubeconfig
from tests.fakes.kube.faults import Recorded
from tests.fakes.kube.kinds import DEPLOYMENTS
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.redis_server import running_redis
from tests.fakes.system import System, get, post
from tests.integration.test_pods import NAMESPACE, pods_under_control, until
from tests.integration.test_pods import PODS as NAMES
from tests.integration.test_scaled_pods import Clients, Workloads, decided, following, running, scaled

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(240)]

CLIENTS = 3


class Autoscaler:
    """Writes the replicas that the metric tells, as soon as it tells them; while it is paused, none."""

    def __init__(self, kube: KubeServer, workloads: Workloads, *, is_paused: bool) -> None:
        self.kube = kube
        self.workloads = workloads
        self.is_paused = is_paused
        self.told: dict[str, int] = {"fp8": 2}

    def follow(self, told: dict[str, int]) -> None:
        self.told = told
        for pool, replicas in told.items():
            if pool in self.workloads.there and not self.is_paused and replicas != self.workloads.replicas(pool):
                written = functools.partial(_with_replicas, replicas)
                self.kube.store.change(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}", written, Writer("keda", "scale"))


def _with_replicas(replicas: int, found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "spec": found["spec"] | {"replicas": replicas}}


def desired(api: str) -> dict[str, int]:
    """What the metric of a controller tells, by pool."""
    text = get(f"{api}/metrics")[1].decode()
    found = re.findall(r'^wattroute_controller_desired_replicas\{pool="(\w+)"\} (\S+)', text, re.M)
    return {pool: int(float(value)) for pool, value in found}


class Plant:
    """Everything that runs, and the pods of `fp8` that were taken away, with the requests that they had."""

    def __init__(self, system: System, emulated: System, workloads: Workloads, autoscaler: Autoscaler) -> None:
        self.system, self.emulated, self.workloads, self.autoscaler = system, emulated, workloads, autoscaler
        self.clients = Clients(system)
        self.log = system.folder / "controller.log"
        self.taken: dict[str, int] = {}

    def sent_to(self, name: str) -> bool:
        """Whether the table in force lets the routers send to a pod."""
        return name not in json.loads(get(f"{self.system.api}/v1/allocation")[1])["draining"]

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        await until(self.system, holds, what)

    def is_obeyed(self) -> bool:
        """Whether the router has the table in force."""
        obeyed, issued = (
            json.loads(get(url)[1]) for url in (f"{self.system.admin}/state", f"{self.system.api}/v1/allocation")
        )
        return bool(obeyed["table"]["sequence"] >= issued["sequence"])

    def bar(self, pool: str) -> None:
        status, body = post(f"{self.system.api}/v1/quality/barred/{pool}", {"reason": "a test"})
        assert status == 201, body


def followed(document: dict[str, Any]) -> None:
    """Pods of fp8 may be taken away by an autoscaler; those of bf16 are enough for so few clients."""
    scaled(document, bf16=2, fp8=0)
    del document["plan"]["pools"]["bf16"]["workload"]
    document["plan"]["pools"]["bf16"]["can_sleep"] = True
    document["plan"]["pools"]["fp8"]["workload"]["mode"] = "recommend"
    document["plan"]["warmup_s"] = 10
    document["controller"]["tick_s"] = 1


@contextlib.asynccontextmanager
async def autoscaled(folder: Path, kube: KubeServer, *, is_paused: bool = False) -> AsyncIterator[Plant]:
    """The plant under load; at its end no request may have been lost, and no pod taken that had one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig(folder, kube)))
        workloads = Workloads(kube, fp8=2)
        autoscaler = Autoscaler(kube, workloads, is_paused=is_paused)
        async with pods_under_control(folder, kube, followed) as (emulated, system):
            plant = Plant(system, emulated, workloads, autoscaler)
            clients = plant.clients

            async def scale() -> None:
                while True:
                    autoscaler.follow(await asyncio.to_thread(desired, system.api))
                    there = workloads.there["fp8"]
                    for name in set(NAMES["fp8"]) - set(there) - set(plant.taken):
                        plant.taken[name] = await asyncio.to_thread(running, emulated, name)
                    await asyncio.sleep(0.2)

            async with following(workloads, emulated):
                await plant.until(lambda: desired(system.api).get("fp8") == 2, "both are to be there at first")
                await asyncio.sleep(3.0)  # The demand is estimated from a rest on, as the first rate seen is a guess.
                tasks = [asyncio.create_task(clients.ask()) for _ in range(CLIENTS)]
                scaling = asyncio.create_task(scale())
                try:
                    yield plant
                    clients.is_over = True
                    await asyncio.gather(*tasks)
                finally:
                    for task in (*tasks, scaling):
                        task.cancel()
                    await asyncio.gather(*tasks, scaling, return_exceptions=True)
            assert clients.answered
            assert clients.refused == []
            assert not any(plant.taken.values()), plant.taken


async def test_the_pod_that_was_drained_and_marked_goes_and_no_request_is_lost(tmp_path: Path) -> None:
    async with kube_server() as kube, autoscaled(tmp_path, kube) as plant:
        await plant.until(lambda: len(plant.workloads.there["fp8"]) < 2, "a pod goes")
        await plant.until(lambda: bool(plant.taken), "it is seen")
        assert all(plant.workloads.is_marked(name) for name in plant.taken)
        assert not kube.asked(lambda request: request.path.endswith("/scale")), "an autoscaler alone writes replicas"


async def test_a_pod_that_is_kept_serves_again_at_once_and_its_mark_is_taken_off(tmp_path: Path) -> None:
    async with kube_server() as kube, autoscaled(tmp_path, kube, is_paused=True) as plant:
        await plant.until(lambda: plant.autoscaler.told["fp8"] == 0, "both may go")
        kept = [name for name in NAMES["fp8"] if plant.workloads.is_marked(name)]
        assert kept == list(NAMES["fp8"])
        assert not any(map(plant.sent_to, kept))
        pools = plant.system.state()["pools"]
        states = {each["instance_id"]: each["state"] for pool in pools for each in pool["instances"]}
        assert [states[name] for name in kept] == ["sleeping", "sleeping"]
        await asyncio.to_thread(plant.bar, "bf16")
        await plant.until(lambda: any(map(plant.sent_to, kept)), "one serves again")
        await plant.until(plant.is_obeyed, "the router knows")
        told = await asyncio.to_thread(desired, plant.system.api)
        back = [name for name in kept if plant.sent_to(name)]
        assert told["fp8"] >= len(back)
        await plant.until(lambda: not any(map(plant.workloads.is_marked, back)), "it bears no mark any more")
        assert plant.workloads.there["fp8"] == kept
        # Whoever asks between the bar and that is refused: nothing is sent to what is barred.
        assert all(b"no instance can serve" in told for _, told in plant.clients.refused)
        plant.clients.refused.clear()


async def test_a_controller_that_may_not_mark_tells_it_and_the_metric_stays(tmp_path: Path) -> None:
    def marks(request: Recorded) -> bool:
        return request.method == "PATCH"

    async with kube_server() as kube:
        kube.faults.add(403, marks, times=None)
        async with autoscaled(tmp_path, kube) as plant:
            await plant.until(lambda: "cannot be marked to go first" in plant.log.read_text(), "it is told")
            metrics = (await asyncio.to_thread(get, f"{plant.system.api}/metrics"))[1].decode()
            failed = re.search(r'actuations_total\{outcome="failed",verb="sleep"\} (\S+)', metrics)
            assert failed is not None
            assert float(failed[1]) > 0
            assert plant.autoscaler.told["fp8"] == 2
            kube.faults.clear()
            await plant.until(lambda: len(plant.workloads.there["fp8"]) < 2, "a pod goes once it may be marked")


async def test_at_its_end_a_controller_takes_the_marks_off(tmp_path: Path) -> None:
    async with kube_server() as kube, autoscaled(tmp_path, kube, is_paused=True) as plant:
        await plant.until(lambda: plant.autoscaler.told["fp8"] == 0, "both may go")
        await asyncio.to_thread(plant.system.stop, "controller")
        assert not any(map(plant.workloads.is_marked, NAMES["fp8"]))


async def test_who_takes_over_tells_the_same_number_all_the_time_and_keeps_the_marks(tmp_path: Path) -> None:
    async with kube_server() as kube, running_redis() as redis:
        config = kubeconfig(tmp_path, kube)
        workloads = Workloads(kube, fp8=2)
        workloads.settle("fp8")

        def among_several(document: dict[str, Any]) -> None:
            followed(document)
            document["controller"] |= {"tick_s": 2, "table_ttl_s": 60, "election": {"kind": "lease"}}
            document["table"] |= {"url": None, "redis_url": redis.url}

        def told(name: str) -> int | None:
            return desired(pair.api(name)).get("fp8")

        async with pods_under_control(tmp_path, kube, among_several, commands=("router",)) as (_, system):
            with contextlib.closing(Controllers(system, config)) as pair:
                for name in ("a", "b"):
                    await asyncio.to_thread(pair.start, name)
                await until(system, lambda: pair.state("a")["election"]["has_standby"] is True, "b stands by")
                await until(system, lambda: told("a") == 0, "both may go")
                await until(system, lambda: told("b") == 0, "the standby tells the same")
                pair.signal("a", signal.SIGKILL)
                seen = []

                def leads() -> bool:
                    seen.append(told("b"))
                    return pair.state("b")["election"]["role"] == "leader"

                await until(system, leads, "b leads")
                ticks = await asyncio.to_thread(decided, pair.api("b"))

                def has_decided() -> bool:
                    seen.append(told("b"))
                    return decided(pair.api("b")) > ticks + 5

                await until(system, has_decided, "b decides")
                assert set(seen) == {0}
                assert all(map(workloads.is_marked, NAMES["fp8"]))
