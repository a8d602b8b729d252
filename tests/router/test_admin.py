"""The admin port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from router.admin import build
from router.dispatch import Dispatcher
from router.snapshot import Snapshot, state_document
from tests.fakes.routing import NOW_S, router_file, table


class Source:
    """One dispatcher behind the admin port."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(router_file())
        self.drains = 0

    async def snapshot(self) -> Snapshot:
        return self.dispatcher.state(NOW_S)

    def is_draining(self) -> bool:
        return self.drains > 0

    def drain(self) -> None:
        self.drains += 1


@contextlib.asynccontextmanager
async def serving(source: Source) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    async with TestClient(TestServer(build(source))) as client:
        yield client


async def test_metrics_are_told_in_prometheus_form() -> None:
    async with serving(Source()) as client:
        answer = await client.get("/metrics")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "wattroute_router_table_sequence -1.0" in await answer.text()


async def test_the_state_is_the_agreed_document() -> None:
    source = Source()
    source.dispatcher.apply_table(table({"standard": {"bf16": 1.0}}, sequence=5), NOW_S)
    async with serving(source) as client:
        answer = await client.get("/state")
        assert answer.content_type == "application/json"
        assert await answer.json() == state_document(source.dispatcher.state(NOW_S))


async def test_a_router_is_alive_though_not_ready() -> None:
    source = Source()
    async with serving(source) as client:
        assert (await client.get("/readyz")).status == 200
        source.dispatcher.apply_table(table(draining=("bf16-0", "fp8-0", "int4-0")), NOW_S)
        unready = await client.get("/readyz")
        assert (unready.status, await unready.json()) == (503, {"status": "no usable instance"})
        assert (await client.get("/healthz")).status == 200


async def test_draining_is_begun_by_post_only_and_ends_readiness() -> None:
    source = Source()
    async with serving(source) as client:
        refused = await client.get("/drain")
        assert (refused.status, refused.headers["Allow"], source.drains) == (405, "POST", 0)
        assert (await client.post("/drain")).status == 202
        assert source.drains == 1
        unready = await client.get("/readyz")
        assert (unready.status, await unready.json()) == (503, {"status": "draining"})
        assert (await client.get("/healthz")).status == 200


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/state/../etc"])
async def test_other_paths_are_404_in_the_usual_shape(path: str) -> None:
    async with serving(Source()) as client:
        answer = await client.get(path)
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == 404
