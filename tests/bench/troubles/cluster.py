"""Deployments whose pods are emulated engines in processes of their own, kept as Kubernetes keeps pods.

The API server is `tests.fakes.kube`; this stands in for the controllers and kubelets behind it: replicas become pods,
pods that die are started again, what answers is an endpoint that is ready, what is deleted ends what it has first.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from controller.kubernetes.marks import GOES_FIRST
from tests.bench.troubles.part import LOOK_S, Part
from tests.fakes.http_stub import http_stub
from tests.fakes.kube.kinds import DEPLOYMENTS, ENDPOINT_SLICES, PODS
from tests.fakes.kube.managers import Writer
from tests.fakes.kube.samples import deployment, endpoint, endpoint_slice, pod
from tests.fakes.kube.server import KubeServer
from tests.fakes.ports import free_ports

NAMESPACE = "llm"
PROBE_S = 1.0
"""As of a readiness probe: no answer within it is a failure, and two in a row are not ready."""
RESTART_S = 1.0
"""Until a container that died is started again."""
GRACE_S = 25.0
"""Of a pod that is deleted, for what it has."""
FAULTS = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class EnginePod:
    """A pod of one engine.

    Attributes:
        port, control_port: of the engine, and of its emulated GPUs.
        failures: probes that failed since the last good one.
    """

    pool: str
    part: Part
    port: int
    control_port: int
    is_ready: bool = False
    is_ending: bool = False
    failures: int = 0

    @property
    def name(self) -> str:
        """Of the pod."""
        return self.part.name


@dataclass
class Cluster:
    """See the module.

    Attributes:
        engines: the document of an emulator for each pool, without instances and ports.
        ended: exit codes of pods that were deleted.
    """

    kube: KubeServer
    folder: Path
    session: aiohttp.ClientSession
    engines: dict[str, dict[str, Any]]
    pods: list[EnginePod] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    gpus_url: str = ""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def deploy(self, pool: str, replicas: int) -> None:
        """A Deployment with so many pods, all of which are made at the next look."""
        self.kube.store.create(
            DEPLOYMENTS, NAMESPACE, deployment(f"vllm-{pool}", replicas), Writer("kubectl-client-side-apply")
        )

    def replicas(self, pool: str) -> int:
        """That are wanted."""
        return int(self.kube.store.get(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}")["spec"]["replicas"])

    def of(self, pool: str) -> list[EnginePod]:
        """Pods that are there and not deleted."""
        return [each for each in self.pods if each.pool == pool and not each.is_ending]

    def delete(self, gone: EnginePod) -> None:
        """As `kubectl delete pod`; it is made anew where replicas want it."""
        gone.is_ending = True
        self._tell(gone)
        self._background(self._end(gone))

    async def keep_forever(self) -> None:
        """Look after all pods, again and again."""
        while True:
            for pool in self.engines:
                self._scale(pool)
            for each in self.pods:
                if not each.is_ending and not each.part.is_running:
                    self._set_ready(each, False)
                    await asyncio.sleep(RESTART_S)
                    each.part.start()
            await asyncio.gather(*(self._probe(each) for each in self.pods if not each.is_ending))
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """End everything at once."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for each in self.pods:
            each.part.signal(signal.SIGCONT)
            each.part.kill()

    async def gpus(self, _: web.Request) -> web.Response:
        """What dcgm-exporters of all machines tell, with the pods that the GPUs belong to."""
        texts = await asyncio.gather(*(self._gpus_of(each) for each in self.pods))
        return web.Response(text="".join(texts))

    def _scale(self, pool: str) -> None:
        there, wanted = self.of(pool), self.replicas(pool)
        for _ in range(wanted - len(there)):
            self._make(pool)
        for _ in range(len(there) - wanted):
            gone = next(filter(self._is_marked, there), None) or min(there, key=lambda each: each.is_ready)
            there.remove(gone)
            self.delete(gone)
        count = len(self.of(pool))

        def changed(found: dict[str, Any]) -> dict[str, Any]:
            return {**found, "status": {**found.get("status", {}), "replicas": count}}

        writer = Writer("kube-controller-manager", "status")
        self.kube.store.change(DEPLOYMENTS, NAMESPACE, f"vllm-{pool}", changed, writer)

    def _make(self, pool: str) -> None:
        name = f"{pool}-7d9f-{next(self._numbers):05x}"
        port, control_port = free_ports(2)
        document = {**self.engines[pool], "emulator": {"control_port": control_port}}
        (of_pool,) = document["pools"]
        document["pools"] = [{**of_pool, "instances": [{"name": name, "url": f"http://127.0.0.1:{port}"}]}]
        made = EnginePod(pool, Part(name, "emulate", self.folder / name, document), port, control_port)
        self.kube.store.create(PODS, NAMESPACE, pod(name))
        self.kube.store.create(ENDPOINT_SLICES, NAMESPACE, self._slice(made))
        made.part.start()
        self.pods.append(made)

    def _is_marked(self, each: EnginePod) -> bool:
        found = self.kube.store.get(PODS, NAMESPACE, each.name)
        return GOES_FIRST in (found["metadata"].get("annotations") or {})

    async def _probe(self, each: EnginePod) -> None:
        is_good = await self._status(f"http://127.0.0.1:{each.port}/health") == 200
        each.failures = 0 if is_good else each.failures + 1
        if is_good or each.failures > 1:
            self._set_ready(each, is_good)

    def _set_ready(self, each: EnginePod, is_ready: bool) -> None:
        if each.is_ready != is_ready and not each.is_ending:
            each.is_ready = is_ready
            self._tell(each)

    def _tell(self, each: EnginePod) -> None:
        self.kube.store.replace(ENDPOINT_SLICES, NAMESPACE, self._slice(each))

    def _slice(self, each: EnginePod) -> dict[str, Any]:
        is_open = each.is_ready and not each.is_ending
        made = endpoint("127.0.0.1", each.name, ready=is_open, serving=each.is_ready, terminating=each.is_ending)
        return endpoint_slice(each.name, made, service=f"vllm-{each.pool}", ports={"http": each.port})

    async def _end(self, gone: EnginePod) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await asyncio.sleep(PROBE_S)
                while await self._has_work(gone):
                    await asyncio.sleep(LOOK_S)
        await gone.part.end()
        self.pods.remove(gone)
        self.kube.store.delete(ENDPOINT_SLICES, NAMESPACE, gone.name)
        self.kube.store.delete(PODS, NAMESPACE, gone.name)
        shutil.rmtree(gone.part.folder)

    async def _has_work(self, each: EnginePod) -> bool:
        with contextlib.suppress(*FAULTS):
            async with self.session.get(f"http://127.0.0.1:{each.control_port}/instances") as answer:
                (engine,) = await answer.json()
                return bool(engine["running"] or engine["waiting"])
        return each.part.is_running

    async def _gpus_of(self, each: EnginePod) -> str:
        with contextlib.suppress(*FAULTS):
            async with self.session.get(f"http://127.0.0.1:{each.control_port}/metrics") as answer:
                text = await answer.text()
            text = "".join(line for line in text.splitlines(keepends=True) if line.startswith("DCGM"))
            return re.sub(r"^(\w+){", rf'\1{{namespace="{NAMESPACE}",pod="{each.name}",', text, flags=re.M)
        return ""

    async def _status(self, url: str) -> int:
        with contextlib.suppress(*FAULTS):
            async with asyncio.timeout(PROBE_S), self.session.get(url) as answer:
                return answer.status
        return 0

    def _background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@contextlib.asynccontextmanager
async def running_cluster(
    kube: KubeServer, folder: Path, engines: dict[str, dict[str, Any]], replicas: dict[str, int]
) -> AsyncIterator[Cluster]:
    """With a Deployment for each pool, looked after until the end; its GPUs are told at `gpus_url`."""
    folder.mkdir()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as session, http_stub() as stub:
        cluster = Cluster(kube, folder, session, engines, gpus_url=f"{stub.url}/metrics")
        stub.set("/metrics", cluster.gpus)
        for pool, count in replicas.items():
            cluster.deploy(pool, count)
        keeping = asyncio.create_task(cluster.keep_forever())
        try:
            yield cluster
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await cluster.close()
