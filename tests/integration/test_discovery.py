"""A router finds its engines by EndpointSlices: pods come and go under load, and so does the API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.fakes.fake_engine import STREAM, Request, Wire
from tests.fakes.kube.engine_pods import NAMESPACE, SERVICE, EnginePods, serve_slowly
from tests.fakes.kube.kinds import ENDPOINT_SLICES
from tests.fakes.kube.server import KubeServer, kube_server
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import RawClient

DISCOVERY = {"kind": "kubernetes", "service": SERVICE, "namespace": NAMESPACE}


@pytest_asyncio.fixture
async def kube() -> AsyncIterator[KubeServer]:
    async with kube_server() as server:
        yield server


@pytest_asyncio.fixture
async def pods(kube: KubeServer) -> AsyncIterator[EnginePods]:
    found = EnginePods(kube)
    yield found
    await found.close()


@contextlib.asynccontextmanager
async def router_of(folder: Path, kube: KubeServer, *, watch_s: float = 2, **more: Any) -> AsyncIterator[RouterProcess]:
    sections = {"kubernetes": {"url": kube.url, "watch_s": watch_s}}
    async with router_process(folder, pool={"discovery": DISCOVERY}, sections=sections, **more) as router:
        yield router


async def state(router: RouterProcess) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{router.admin_url}/state") as answer:
        return await answer.json()


async def ask(router: RouterProcess, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{router.admin_url}{path}") as answer:
        return answer.status, await answer.json()


async def instances(router: RouterProcess, *names: str, seconds: float = 30) -> dict[str, Any]:
    """Wait until these are the instances that may get requests, and nothing is in flight on others."""
    async with asyncio.timeout(seconds):
        while True:
            found = await state(router)
            listed = [one["instance_id"] for one in found["instances"]]
            if sorted(listed) == sorted(names) and not found["leaving"]:
                return found
            await asyncio.sleep(0.05)


async def failures(router: RouterProcess, times: int) -> dict[str, Any]:
    """Wait until the API could so often not be asked."""
    async with asyncio.timeout(30):
        while (found := await state(router))["discovery"][0]["failures"] < times:
            await asyncio.sleep(0.05)
    return found


class Load:
    """Clients that stream all the time, and what became of each request."""

    def __init__(self, router: RouterProcess, clients: int = 4) -> None:
        self._port = router.port
        self._clients = clients
        self._over = asyncio.Event()
        self.statuses: list[int] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._client()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def more(self, requests: int = 12) -> None:
        """Until so many more have ended."""
        goal = len(self.statuses) + requests
        async with asyncio.timeout(30):
            while len(self.statuses) < goal:
                await asyncio.sleep(0.02)

    async def _client(self) -> None:
        while not self._over.is_set():
            async with RawClient.to(self._port) as raw:
                for _ in range(5):
                    await raw.post(STREAM)
                    reply = await raw.reply()
                    whole = reply.body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
                    self.statuses.append(reply.status if whole else 0)


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_request_is_lost_while_pods_are_replaced(
    tmp_path: Path, kube: KubeServer, pods: EnginePods, workers: int
) -> None:
    await pods.start("a-1")
    await pods.start("b-1")
    async with router_of(tmp_path, kube, workers=workers) as router:
        await instances(router, "a-1", "b-1")
        async with Load(router) as load:
            await load.more()
            # One after the other, as a rolling update does; meanwhile the API server is not what it should be.
            await pods.start("a-2")
            await instances(router, "a-1", "a-2", "b-1")
            pods.terminate("a-1")
            await instances(router, "a-2", "b-1")
            await load.more()
            await pods.remove("a-1")
            await kube.kill()
            await failures(router, 2)
            await load.more()
            await kube.start()
            await pods.start("b-2")
            await instances(router, "a-2", "b-1", "b-2")
            for watch in kube.watches.of(ENDPOINT_SLICES):
                watch.cut()
            kube.store.compact()
            pods.terminate("b-1")
            await instances(router, "a-2", "b-2")
            await load.more()
            await pods.remove("b-1")
            await load.more()
    assert set(load.statuses) == {200}, f"{len([s for s in load.statuses if s != 200])} of {len(load.statuses)} lost"


async def test_a_pod_that_terminates_ends_what_it_has(tmp_path: Path, kube: KubeServer, pods: EnginePods) -> None:
    old = await pods.start("old")
    go_on = asyncio.Event()

    async def hold(request: Request, wire: Wire) -> None:
        if not request.target.endswith("/completions"):
            await serve_slowly(request, wire)
            return
        await wire.begin_stream()
        await wire.event({"choices": []})
        await go_on.wait()
        await wire.event("[DONE]")
        await wire.end()

    async with router_of(tmp_path, kube) as router:
        await instances(router, "old")
        old.script = hold
        async with RawClient.to(router.port) as raw:
            await raw.post(STREAM)
            async with asyncio.timeout(10):
                while not old.requests[-1].target.endswith("/completions"):
                    await asyncio.sleep(0.01)
            old.script = serve_slowly
            before = len(old.requests)
            await pods.start("new")
            pods.terminate("old")
            async with asyncio.timeout(10):
                found = await state(router)
                while [view["in_flight"] for view in found["leaving"]] != [1]:
                    await asyncio.sleep(0.02)
                    found = await state(router)
            assert [one["instance_id"] for one in found["instances"]] == ["new"]
            assert found["discovery"][0]["endpoints"] == {"ready": 1, "draining": 1, "unready": 0, "left_out": 0}
            async with RawClient.to(router.port) as other:
                await other.post(STREAM)
                assert (await other.reply()).status == 200
            assert not [r for r in old.requests[before:] if r.target.endswith("/completions")], "a new one reached it"
            go_on.set()
            reply = await raw.reply()
    assert reply.body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


async def test_a_router_is_live_at_once_and_ready_once_told(tmp_path: Path, kube: KubeServer, pods: EnginePods) -> None:
    await pods.start("a")
    refusing = kube.faults.add(403, times=None)
    async with router_of(tmp_path, kube) as router:
        assert (await ask(router, "/healthz"))[0] == 200
        status, body = await ask(router, "/readyz")
        assert (status, body["status"]) == (503, "no instances told yet")
        async with asyncio.timeout(10):
            while "403" not in ((await ask(router, "/readyz"))[1]["pools"]["bf16"] or ""):
                await asyncio.sleep(0.05)
        assert (await state(router))["discovery"][0]["age_s"] is None
        refusing.times = refusing.befell
        await instances(router, "a")
        assert (await ask(router, "/readyz"))[0] == 200
    assert any("discovery of instances fails" in line and "403" in line for line in router.log)


async def test_what_was_told_last_stays_until_the_api_tells_otherwise(
    tmp_path: Path, kube: KubeServer, pods: EnginePods
) -> None:
    await pods.start("a")
    async with router_of(tmp_path, kube, watch_s=1) as router:
        await instances(router, "a")
        kube.faults.add(500, times=None)
        for watch in kube.watches.of(ENDPOINT_SLICES):
            watch.cut()
        found = await failures(router, 3)
        assert [one["instance_id"] for one in found["instances"]] == ["a"]
        assert "500" in found["discovery"][0]["error"]
        assert (await ask(router, "/readyz"))[0] == 200
        kube.faults.clear()
        # What the API server truly tells is obeyed, also that there is nothing.
        pods.condition("a", ready=False, serving=False)
        found = await instances(router)
        assert found["discovery"][0]["error"] is None
        assert (await ask(router, "/readyz")) == (503, {"status": "no usable instance"})


async def test_a_frozen_watch_is_noticed(tmp_path: Path, kube: KubeServer, pods: EnginePods) -> None:
    await pods.start("a")
    async with router_of(tmp_path, kube, watch_s=1) as router:
        await instances(router, "a")
        async with asyncio.timeout(10):
            while not kube.watches.of(ENDPOINT_SLICES):
                await asyncio.sleep(0.01)
        for watch in kube.watches.of(ENDPOINT_SLICES):
            watch.frozen = True
        await pods.start("b")
        await instances(router, "a", "b")
