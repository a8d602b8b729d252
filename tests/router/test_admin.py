"""The admin port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from router.admin import build
from router.canary import Sample
from router.contract import ClassId
from router.dispatch import Dispatcher
from router.errors import SettingsError
from router.snapshot import DiscoveryView, Snapshot
from router.state_document import state_document
from tests.fakes.routing import NOW_S, router_file, table


class Source:
    """One dispatcher behind the admin port."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher(router_file())
        self.drains = 0
        self.samples: list[Sample] = []
        self.untold: tuple[str, ...] = ()

    async def snapshot(self) -> Snapshot:
        snapshot = self.dispatcher.state(NOW_S)
        snapshot.samples = self.samples
        snapshot.untold = self.untold
        for pool in self.untold:
            view = DiscoveryView(pool, "kubernetes", told=False, age_s=None, endpoints={}, failures=1)
            view.error = "answered 403"
            snapshot.discovery.append(view)
        return snapshot

    def is_draining(self) -> bool:
        return self.drains > 0

    def drain(self) -> None:
        self.drains += 1


@contextlib.asynccontextmanager
async def serving(source: Source, token_file: Path | None = None) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    async with TestClient(TestServer(build(source, token_file))) as client:
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


async def test_a_router_that_does_not_know_its_engines_yet_says_which_and_why() -> None:
    source = Source()
    source.untold = ("fast",)
    async with serving(source) as client:
        unready = await client.get("/readyz")
        assert (unready.status, await unready.json()) == (
            503,
            {"status": "no instances told yet", "pools": {"fast": "answered 403"}},
        )
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


async def test_who_waits_for_the_end_of_a_drain_begins_none() -> None:
    source = Source()
    async with serving(source) as client:
        early = await client.get("/drained")
        assert (early.status, await early.json()) == (503, {"status": "serving", "in_flight": 0})
        assert source.drains == 0
        source.drain()
        assert (await client.get("/drained")).status == 503
        over = await client.get("/drained?quiet_s=0")
        assert (over.status, await over.json()) == (200, {"status": "drained"})
        for wrong in ("wait_s=nan", "wait_s=-1", "quiet_s=soon", "wait_s=3601"):
            refused = await client.get(f"/drained?{wrong}")
            assert (refused.status, wrong.partition("=")[0] in await refused.text()) == (400, True)


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/state/../etc"])
async def test_other_paths_are_404_in_the_usual_shape(path: str) -> None:
    async with serving(Source()) as client:
        answer = await client.get(path)
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == 404


async def test_with_a_token_what_acts_needs_it_and_what_tells_does_not(tmp_path: Path) -> None:
    file, source = tmp_path / "token", Source()
    file.write_text(" sesame-1\n")
    async with serving(source, file) as client:
        assert (await client.get("/state")).status == 200
        for wrong in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": "Bearer \xe4\udcff"}):
            refused = await client.post("/drain", headers=wrong)
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "sesame" not in await refused.text()
        assert source.drains == 0
        assert (await client.post("/drain", headers={"Authorization": "Bearer sesame-1"})).status == 202
        file.write_text("sesame-2")
        assert (await client.post("/drain", headers={"Authorization": "Bearer sesame-1"})).status == 401
        assert (await client.post("/drain", headers={"Authorization": "Bearer sesame-2"})).status == 202
        file.unlink()
        assert (await client.post("/drain", headers={"Authorization": "Bearer sesame-2"})).status == 503
        assert source.drains == 2


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_token_file_without_a_token_is_refused_at_start(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "token"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="admin_token_file"):
        build(Source(), file)


async def test_samples_need_the_token_where_there_is_one(tmp_path: Path) -> None:
    source, file = Source(), tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    sample = Sample("1", "/v1/chat/completions", ClassId("standard"), '{"temperature":0}')
    source.samples = [sample]
    async with serving(source, file) as client:
        for address in ("/canary/samples", "/canary%2Fsamples", "/%63anary/samples"):
            assert (await client.get(address)).status in (401, 404)
        answer = await client.get("/canary/samples", headers={"Authorization": "Bearer 0123456789abcdef"})
        assert (await answer.json())["samples"][0]["body"] == sample.body
        for address in ("/metrics", "/state"):
            assert "temperature" not in await (await client.get(address)).text()
    async with serving(source) as client:
        assert (await client.get("/canary/samples")).status == 200
