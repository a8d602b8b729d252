"""The faults that the fake API server has on demand are what they say: tests of others stand on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.fakes.certificates import Authority
from tests.fakes.kube.client import Client
from tests.fakes.kube.kinds import ENDPOINT_SLICES, LEASES, SCALED_OBJECTS
from tests.fakes.kube.samples import endpoint, endpoint_slice, lease
from tests.fakes.kube.server import KubeServer, kube_server, until

SOON = aiohttp.ClientTimeout(total=0.3)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[KubeServer]:
    async with kube_server() as found:
        yield found


@pytest_asyncio.fixture
async def client(server: KubeServer) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(server.url) as session:
        yield Client(session, "default")


async def test_a_status_befalls_as_often_as_asked(server: KubeServer, client: Client) -> None:
    server.faults.add(429, lambda r: r.method == "GET", retry_after_s=3, times=2)
    async with client.session.get(client.path(LEASES)) as first:
        assert (first.status, first.headers["Retry-After"]) == (429, "3")
    assert (await client.create(LEASES, lease("a", "me"))).status == 201
    assert [(await client.ask("GET", client.path(LEASES))).status for _ in range(2)] == [429, 200]


@pytest.mark.parametrize("code", [403, 410, 500])
async def test_other_statuses(server: KubeServer, client: Client, code: int) -> None:
    server.faults.add(code)
    answer = await client.ask("GET", client.path(LEASES))
    assert (answer.status, answer.body["kind"], answer.body["code"]) == (code, "Status", code)


async def test_an_answer_hangs(server: KubeServer, client: Client) -> None:
    server.faults.add(None)
    with pytest.raises(TimeoutError):
        await client.session.get(client.path(LEASES), timeout=SOON)
    assert (await client.ask("GET", client.path(LEASES))).status == 200


async def test_a_wrong_token_is_not_let_in(server: KubeServer, client: Client) -> None:
    server.tokens = {"good"}
    assert (await client.ask("GET", client.path(LEASES))).status == 401
    good = {"Authorization": "Bearer good"}
    async with client.session.get(client.path(LEASES), headers=good) as response:
        assert response.status == 200


async def test_a_watch_that_is_cut_reads_as_a_reset(server: KubeServer, client: Client) -> None:
    async with client.watch(LEASES) as events:
        await client.create(LEASES, lease("a", "me"))
        assert (await anext(events))[0] == "ADDED"
        server.watches.of(LEASES)[0].cut()
        with pytest.raises(aiohttp.ClientError):
            await anext(events)
    await until(lambda: not server.watches.open)


async def test_a_frozen_watch_is_open_and_silent(server: KubeServer, client: Client) -> None:
    async with client.watch(LEASES, timeoutSeconds="1") as events:
        await until(lambda: bool(server.watches.open))
        server.watches.open[0].frozen = True
        await client.create(LEASES, lease("a", "me"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 1.5)


@pytest.mark.parametrize("as_status", [True, False])
async def test_a_compacted_history_is_gone(server: KubeServer, client: Client, as_status: bool) -> None:
    await client.create(LEASES, lease("a", "me"))
    before = (await client.ask("GET", client.path(LEASES))).body["metadata"]["resourceVersion"]
    server.store.compact()
    server.watches.gone_as_status = as_status
    answer = await client.ask("GET", client.path(LEASES), watch="1", resourceVersion=before)
    told = answer.body if as_status else answer.body["object"]
    assert (answer.status, told["code"]) == (410 if as_status else 200, 410)
    after = (await client.ask("GET", client.path(LEASES))).body["metadata"]["resourceVersion"]
    async with client.watch(LEASES, resourceVersion=after, timeoutSeconds="1") as events:
        assert [event async for event in events] == []


async def test_an_open_watch_expires(server: KubeServer, client: Client) -> None:
    async with client.watch(LEASES) as events:
        await until(lambda: bool(server.watches.open))
        server.watches.open[0].expire()
        kind, found = await anext(events)
    assert (kind, found["code"]) == ("ERROR", 410)


async def test_a_page_of_a_forgotten_list_is_gone(server: KubeServer, client: Client) -> None:
    for n in range(2):
        await client.create(ENDPOINT_SLICES, endpoint_slice(f"s-{n}", endpoint("10.0.0.1")))
    path = client.path(ENDPOINT_SLICES)
    token = (await client.ask("GET", path, limit="1")).body["metadata"]["continue"]
    server.store.compact()
    assert (await client.ask("GET", path, limit="1", **{"continue": token})).status == 410


async def test_a_killed_server_comes_back_with_what_it_had(server: KubeServer, client: Client) -> None:
    await client.create(LEASES, lease("a", "me"))
    async with client.watch(LEASES, resourceVersion=str(server.store.version)) as events:
        await server.kill()
        with pytest.raises(aiohttp.ClientError):
            await anext(events)
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.ask("GET", client.path(LEASES))
    await server.start()
    assert (await client.read(LEASES, "a"))["spec"]["holderIdentity"] == "me"


async def test_a_frozen_server_takes_connections_and_is_silent(server: KubeServer, client: Client) -> None:
    server.faults.frozen = True
    with pytest.raises(TimeoutError):
        await client.session.get(client.path(LEASES), timeout=SOON)
    server.faults.clear()
    assert (await client.ask("GET", client.path(LEASES))).status == 200


async def test_a_cluster_without_keda(server: KubeServer, client: Client) -> None:
    del server.store.kinds[SCALED_OBJECTS]
    assert (await client.ask("GET", client.path(SCALED_OBJECTS))).status == 404


async def test_a_server_with_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with kube_server(tls=authority.issue("kube").server()) as server:
        connector = aiohttp.TCPConnector(ssl=authority.client())
        async with aiohttp.ClientSession(server.url, connector=connector) as session:
            assert (await Client(session, "default").ask("GET", "/readyz")).body == "ok"
