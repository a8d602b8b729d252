"""Reads of the fake API server, in health and out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from router.discovery import kube_api, service_account
from router.discovery.kube_api import KubeApi
from router.discovery.service_account import ServiceAccount
from router.errors import DiscoveryError
from tests.fakes.certificates import Authority
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.kube.kinds import LEASES
from tests.fakes.kube.samples import lease
from tests.fakes.kube.server import kube_server, until

PATH = LEASES.path("llm")


@contextlib.asynccontextmanager
async def api_of(url: str, token_file: Path | None = None, ca_file: Path | None = None) -> AsyncIterator[KubeApi]:
    api = KubeApi(ServiceAccount(url, token_file, ca_file, None))
    try:
        yield api
    finally:
        await api.close()


def quiet() -> None:
    """Nothing to do as a watch begins."""


async def test_a_list_is_read() -> None:
    async with kube_server() as server, api_of(server.url) as api:
        server.store.create(LEASES, "llm", lease("a", "me"))
        found = await api.get(PATH, {"limit": "10"})
        assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
        assert server.recorded[0].user_agent.startswith("wattroute-router/")
        assert server.recorded[0].query == {"limit": "10"}


async def test_events_come_one_by_one_until_the_watch_ends() -> None:
    events: list[Mapping[str, Any]] = []
    begun: list[int] = []
    async with kube_server() as server, api_of(server.url) as api:
        server.store.create(LEASES, "llm", lease("a", "x" * 300_000))
        query = {"timeoutSeconds": "1"}
        watch = asyncio.create_task(
            api.watch(PATH, query, events.append, begun=lambda: begun.append(len(events)), limit_s=9)
        )
        await until(lambda: len(events) == 1)
        server.store.create(LEASES, "llm", lease("b", "me"))
        await watch
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in events] == [("ADDED", "a"), ("ADDED", "b")]
    assert begun == [0]


@pytest.mark.parametrize("code", [403, 404, 410, 429, 500, 503])
async def test_a_refusal_is_told_with_what_the_server_says(code: int) -> None:
    async with kube_server() as server, api_of(server.url) as api:
        server.faults.add(code, retry_after_s=7 if code == 429 else None, message="leases is forbidden")
        with pytest.raises(DiscoveryError, match=f"answered {code}: leases is forbidden") as caught:
            await api.get(PATH, {})
    assert (caught.value.status, caught.value.retry_after_s) == (code, 7.0 if code == 429 else None)
    assert ("Role" in str(caught.value)) is (code == 403)


@pytest.mark.parametrize(("told", "expected"), [("99999", 60.0), ("soon", None), ("-3", None), ("²", None)])
async def test_a_retry_after_is_bounded_and_read_where_it_is_a_number(told: str, expected: float | None) -> None:
    async with http_stub() as stub, api_of(stub.url) as api:

        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=503, headers={"Retry-After": told}, text="<html>busy")

        stub.set("/x", answer)
        with pytest.raises(DiscoveryError, match="answered 503: <html>busy") as caught:
            await api.get("/x", {})
    assert caught.value.retry_after_s == expected


async def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_api, "ANSWER_S", 0.1)
    async with kube_server() as server, api_of(server.url) as api:
        server.faults.frozen = True
        with pytest.raises(DiscoveryError, match="silent"):
            await api.get(PATH, {})
        with pytest.raises(DiscoveryError, match="silent"):
            await api.watch(PATH, {}, print, begun=quiet, limit_s=60)


async def test_a_watch_that_is_frozen_is_given_up() -> None:
    async with kube_server() as server, api_of(server.url) as api:
        watch = asyncio.create_task(api.watch(PATH, {}, print, begun=quiet, limit_s=0.5))
        await until(lambda: bool(server.watches.open))
        server.watches.open[0].frozen = True
        with pytest.raises(DiscoveryError, match=r"silent; it did not end within 0\.5 s"):
            await watch


async def test_a_watch_that_is_cut_is_told() -> None:
    async with kube_server() as server, api_of(server.url) as api:
        watch = asyncio.create_task(api.watch(PATH, {}, print, begun=quiet, limit_s=60))
        await until(lambda: bool(server.watches.open))
        server.watches.open[0].cut()
        with pytest.raises(DiscoveryError, match="Client"):
            await watch


async def test_a_server_that_is_not_there_is_told() -> None:
    async with api_of(closed_url()) as api:
        with pytest.raises(DiscoveryError, match="Cannot connect"):
            await api.get(PATH, {})


async def test_a_token_that_was_replaced_is_read_and_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some file systems tell late that a file has changed: only the refusal says so.
    monkeypatch.setattr(service_account, "marks_of", lambda _files: ())
    token = tmp_path / "token"
    token.write_text("old")
    async with kube_server() as server, api_of(server.url, token) as api:
        server.tokens = {"old"}
        await api.get(PATH, {})
        server.tokens = {"new"}
        token.write_text("new")
        await api.get(PATH, {})
        assert [r.method for r in server.recorded] == ["GET"] * 3
        server.tokens = {"another"}
        with pytest.raises(DiscoveryError, match="answered 401"):
            await api.get(PATH, {})
        assert len(server.recorded) == 4, "one that is refused and the same as before is not tried again"


async def test_the_servers_certificate_is_verified(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    async with kube_server(tls=authority.issue("kube").server()) as server:
        async with api_of(server.url, ca_file=authority.file) as api:
            await api.get(PATH, {})
        for ca_file in (stranger.file, None):
            async with api_of(server.url, ca_file=ca_file) as api:
                with pytest.raises(DiscoveryError, match="certificate"):
                    await api.get(PATH, {})


async def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_api, "MAX_PAGE_BYTES", 1000)
    monkeypatch.setattr(kube_api, "MAX_EVENT_BYTES", 1000)
    async with kube_server() as server, api_of(server.url) as api:
        server.store.create(LEASES, "llm", lease("a", "x" * 3000))
        with pytest.raises(DiscoveryError, match="more than 1000 bytes"):
            await api.get(PATH, {})
    async with http_stub() as stub, api_of(stub.url) as api:
        stub.set("/x", "y" * 3000)
        with pytest.raises(DiscoveryError, match="an event of more than 1000 bytes"):
            await api.watch("/x", {}, print, begun=quiet, limit_s=9)


@pytest.mark.parametrize("body", ["<html>", "[]", "", pytest.param("[" * 100_000, id="deep")])
async def test_what_is_no_json_object_is_refused(body: str) -> None:
    async with http_stub() as stub, api_of(stub.url) as api:
        stub.set("/x", body)
        with pytest.raises(DiscoveryError, match="no JSON"):
            await api.get("/x", {})


async def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    async with http_stub() as stub, http_stub() as thief, api_of(stub.url) as api:

        async def away(_request: web.Request) -> web.Response:
            raise web.HTTPFound(f"{thief.url}/x")

        stub.set("/x", away)
        with pytest.raises(DiscoveryError, match="answered 302"):
            await api.get("/x", {})
        assert thief.requests == []
