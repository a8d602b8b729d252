"""Tenants as clients meet them: the official client, a router as a process, and engines that see what reaches them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from router.tenants.keys import digest_of, written
from tests.fakes.fake_engine import MODEL, FakeEngine, Request, Wire, behave
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import until

MESSAGES: Any = [{"role": "user", "content": "hello"}]
ENGINE_KEY = "engine-key-0123456789"
CLASSES = [{"name": "standard"}, {"name": "flex", "service_tiers": ["flex"]}, {"name": "gold"}]


def key_of(name: str) -> str:
    return f"sk-client-key-of-{name}"


def tenant(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "keys": [{"digest": written(digest_of(key_of(name).encode()))}], **more}


TENANTS = [
    tenant("free"),
    tenant("basic", classes=["flex"], pin_allowed=False),
    tenant("slow", requests_per_minute=60, burst=2),
    tenant("short", tokens_per_minute=1000),
    tenant("narrow", max_in_flight=1),
]


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with FakeEngine() as running:
        yield running


@pytest.fixture
async def router(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[RouterProcess]:
    (tmp_path / "tenants.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in TENANTS))
    (tmp_path / "engine.key").write_text(f"{ENGINE_KEY}\n")
    async with router_process(
        tmp_path,
        engine,
        pool={"engine_key_file": str(tmp_path / "engine.key")},
        sections={"classes": CLASSES, "tenants": {"tenants_file": str(tmp_path / "tenants.jsonl")}},
    ) as running:
        yield running


def client_of(router: RouterProcess, key: str, retries: int = 0) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{router.url}/v1", api_key=key, max_retries=retries)


async def ask(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES, **more)


def posts(engine: FakeEngine) -> list[Request]:
    return [request for request in engine.requests if request.method == "POST"]


async def metrics_of(router: RouterProcess) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{router.admin_url}/metrics") as answer:
        return await answer.text()


async def test_a_known_key_is_served_and_goes_no_further(router: RouterProcess, engine: FakeEngine) -> None:
    async with client_of(router, key_of("free")) as client:
        answer = await ask(client)
        assert answer.parse().choices[0].message.content == "w0 w1 w2"
        assert "x-ratelimit-limit-requests" not in answer.headers
        assert [model.id async for model in client.models.list()] == [MODEL]
    await until(lambda: any(request.target == "/metrics" for request in engine.requests))
    assert {request.get("authorization") for request in engine.requests} == {f"Bearer {ENGINE_KEY}"}
    assert all(key_of("free") not in str(request.fields) for request in engine.requests)


@pytest.mark.parametrize("field", ["x-api-key", "api-key", "authorization"])
async def test_every_form_of_carrying_a_key(field: str, router: RouterProcess, engine: FakeEngine) -> None:
    value = f"bearer {key_of('free')}" if field == "authorization" else key_of("free")
    async with (
        aiohttp.ClientSession(headers={field: value, "x-api-key-of-mine": "stays"}) as session,
        session.post(f"{router.url}/v1/chat/completions", json={"model": MODEL, "messages": MESSAGES}) as answer,
    ):
        assert answer.status == 200
    [seen] = posts(engine)
    assert [entry for entry in seen.fields if entry[0].lower() in ("authorization", "x-api-key", "api-key")] == [
        ("authorization", f"Bearer {ENGINE_KEY}")
    ]
    assert seen.get("x-api-key-of-mine") == "stays"


@pytest.mark.parametrize("key", ["wrong", key_of("free")[:-1], key_of("free") + "x", written(digest_of(b"free"))])
async def test_an_unknown_key_is_refused(key: str, router: RouterProcess, engine: FakeEngine) -> None:
    async with client_of(router, key) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await ask(client)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    assert caught.value.code == "invalid_api_key"
    assert caught.value.response.headers["www-authenticate"] == "Bearer"
    assert caught.value.response.headers["x-wattroute-reason"] == "invalid_api_key"
    assert key not in caught.value.response.text
    assert not posts(engine)


async def test_only_health_is_open(router: RouterProcess, engine: FakeEngine) -> None:
    async with aiohttp.ClientSession() as session:
        for path, status in [
            ("/health", 200),
            ("/v1/models", 401),
            ("/version", 401),
            ("/metrics", 401),
            ("/health/../v1/models", 401),
            ("/sleep", 401),
            ("/tokenize", 401),
        ]:
            async with session.get(router.url + path) as answer:
                assert (path, answer.status) == (path, status)
    assert not [request for request in engine.requests if request.target not in ("/health", "/metrics")]


async def test_a_large_body_without_a_key_is_refused_before_it_is_sent(router: RouterProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000\r\n\r\n{"
    writer.write(head.encode())
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 401 ")
    writer.close()


async def test_classes_and_pins_are_held_to_the_tenants_rights(router: RouterProcess) -> None:
    async with client_of(router, key_of("basic")) as client:
        await ask(client)
        await ask(client, service_tier="flex")
        with pytest.raises(openai.PermissionDeniedError, match="may not use class 'gold'") as caught:
            await ask(client, extra_headers={"x-wattroute-class": "gold"})
        assert caught.value.response.headers["x-wattroute-reason"] == "class_not_allowed"
        with pytest.raises(openai.PermissionDeniedError, match="may not pin"):
            await client.chat.completions.create(model=f"{MODEL}@bf16", messages=MESSAGES)


async def test_a_rate_is_told_and_waited_for_by_the_client(router: RouterProcess) -> None:
    async with client_of(router, key_of("slow")) as client:
        told = (await ask(client)).headers
        assert [told[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")] == ["2", "1", "1s"]
        await ask(client)
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
    refused = caught.value.response.headers
    assert (refused["retry-after"], refused["x-wattroute-reason"]) == ("1", "rate_limited")
    assert refused["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.code == "rate_limit_exceeded"
    async with client_of(router, key_of("slow"), retries=2) as patient:
        assert (await ask(patient)).headers["x-ratelimit-limit-requests"] == "2"


async def test_tokens_are_charged_as_they_turn_out(router: RouterProcess) -> None:
    async with client_of(router, key_of("short")) as client:
        # Some 270 tokens are expected of each and charged, ten are used: uncorrected, four would be too many.
        for _ in range(8):
            told = (await ask(client)).headers
            assert told["x-ratelimit-limit-tokens"] == "1000"
            assert 600 < int(told["x-ratelimit-remaining-tokens"]) < 760
        with pytest.raises(openai.RateLimitError, match="more than this key's limit") as caught:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "y" * 4100}])
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in caught.value.response.headers


async def hang(request: Request, wire: Wire) -> None:
    """Answers no request for work until its client has left."""
    if request.method != "POST":
        await behave(request, wire)
    else:
        await wire.wait_gone()


async def test_requests_in_flight_are_bounded_and_end_with_their_clients(
    router: RouterProcess, engine: FakeEngine
) -> None:
    engine.script = hang
    async with client_of(router, key_of("narrow")) as client:
        waiting = asyncio.create_task(ask(client))
        await until(lambda: posts(engine))
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
        assert caught.value.response.headers["x-wattroute-reason"] == "tenant_in_flight"
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        engine.script = behave

        async def served() -> bool:
            try:
                await ask(client)
            except openai.RateLimitError:
                return False
            return True

        async with asyncio.timeout(10):
            while not await served():
                await asyncio.sleep(0.01)


async def test_counts_by_tenant(router: RouterProcess) -> None:
    async with client_of(router, key_of("free")) as client:
        await ask(client)
    async with client_of(router, "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await ask(client)
    found = await metrics_of(router)
    assert 'wattroute_router_tenant_requests_total{tenant="free"} 1.0' in found
    assert 'wattroute_router_tenant_input_tokens_total{tenant="free"} 7.0' in found
    assert 'wattroute_router_tenant_output_tokens_total{tenant="free"} 3.0' in found
    assert 'wattroute_router_tenant_refused_total{reason="invalid_api_key",tenant="none"} 1.0' in found or (
        'wattroute_router_tenant_refused_total{tenant="none",reason="invalid_api_key"} 1.0' in found
    )
    for secret in (key_of("free"), ENGINE_KEY):
        assert secret not in found
        assert not [line for line in router.log if secret in line]
    assert not [line for line in router.log if "is open" in line]


async def test_the_access_log_names_tenants_and_no_key(engine: FakeEngine, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    tenants = {"list": [tenant("acme", requests_per_minute=1, burst=1)]}
    async with router_process(
        tmp_path, engine, sections={"tenants": tenants}, access_log={"path": str(path)}
    ) as running:
        async with client_of(running, key_of("acme")) as client:
            await ask(client)
            with pytest.raises(openai.RateLimitError):
                await ask(client)
        async with client_of(running, "sk-of-nobody") as client:
            with pytest.raises(openai.AuthenticationError):
                await ask(client)
    text = path.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["status"], line.get("tenant")) for line in lines] == [(200, "acme"), (429, "acme"), (401, None)]
    assert key_of("acme") not in text
    assert "sk-of-nobody" not in text


WORKERS = 3


def connection() -> aiohttp.ClientSession:
    """A client with one connection, which stays with the worker that took it."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))


async def post(session: aiohttp.ClientSession, router: RouterProcess, name: str, **more: Any) -> aiohttp.ClientResponse:
    body = {"model": MODEL, "messages": MESSAGES, **more}
    headers = {"authorization": f"Bearer {key_of(name)}"}
    async with session.post(f"{router.url}/v1/chat/completions", json=body, headers=headers) as answer:
        await answer.read()
    return answer


async def test_one_connection_gets_the_whole_limit_however_many_workers(engine: FakeEngine, tmp_path: Path) -> None:
    tenants = [
        tenant("rate", requests_per_minute=1, burst=9),
        tenant("tokens", tokens_per_minute=6000),
        tenant("spread", requests_per_minute=1, burst=9),
    ]
    async with router_process(tmp_path, engine, workers=WORKERS, sections={"tenants": {"list": tenants}}) as running:
        async with connection() as one:
            answers = [await post(one, running, "rate") for _ in range(12)]
            assert [answer.status for answer in answers] == [200] * 9 + [429] * 3
            left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
            assert left == [*"876543210", *"000"]
            # About 4000 tokens, which is more than a third of the limit.
            long = [{"role": "user", "content": "y" * 15_000}]
            assert (await post(one, running, "tokens", messages=long)).status == 200
        statuses = []
        for _ in range(12):
            async with connection() as each:
                statuses.append((await post(each, running, "spread")).status)
        assert sorted(statuses) == [200] * 9 + [429] * 3


async def test_requests_at_once_are_counted_in_all_workers_and_end_with_a_killed_one(
    engine: FakeEngine, tmp_path: Path
) -> None:
    engine.script = hang
    tenants = {"list": [tenant("acme", max_in_flight=4)]}
    async with (
        router_process(tmp_path, engine, workers=WORKERS, sections={"tenants": tenants}) as running,
        contextlib.AsyncExitStack() as stack,
    ):
        sessions = [await stack.enter_async_context(connection()) for _ in range(10)]
        waiting = {asyncio.create_task(post(session, running, "acme")) for session in sessions}
        while len(waiting) > 4:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                assert task.result().headers["x-wattroute-reason"] == "tenant_in_flight"
        await until(lambda: len(posts(engine)) == 4)
        for worker in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
            os.kill(int(worker), signal.SIGKILL)
        await asyncio.wait(waiting)
        engine.script = behave

        async def served() -> int:
            async with connection() as session:
                return (await post(session, running, "acme")).status

        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    assert await served() == 200
                    break
                await asyncio.sleep(0.05)


async def is_known(client: openai.AsyncOpenAI) -> bool:
    try:
        await ask(client)
    except openai.AuthenticationError:
        return False
    return True


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_changed_file_ends_keys_and_makes_others_known_while_requests_go_on(
    workers: int, engine: FakeEngine, tmp_path: Path
) -> None:
    file, key = tmp_path / "tenants.jsonl", tmp_path / "engine.key"
    file.write_text(json.dumps(tenant("leaves")) + "\n")
    key.write_text("first-engine-key")
    async with (
        router_process(
            tmp_path,
            engine,
            workers=workers,
            pool={"engine_key_file": str(key)},
            sections={"tenants": {"tenants_file": str(file)}},
            reload=True,
        ) as running,
        client_of(running, key_of("leaves")) as leaves,
        client_of(running, key_of("comes")) as comes,
    ):
        await ask(leaves)
        with pytest.raises(openai.AuthenticationError):
            await ask(comes)
        file.write_text("- this is: [not a list of tenants")
        await until(lambda: any("configuration refused" in line for line in running.log), 20)
        await ask(leaves)
        key.write_text("second-engine-key")
        file.write_text(json.dumps(tenant("comes")) + "\n")
        await until(lambda: any("configuration taken" in line for line in running.log), 20)
        async with asyncio.timeout(20):  # one worker after the other takes it
            while not await is_known(comes) or await is_known(leaves):
                await asyncio.sleep(0.05)
        await ask(comes)
        # On the connection, and with the head, that was served before.
        with pytest.raises(openai.AuthenticationError):
            await ask(leaves)
        assert posts(engine)[-1].get("authorization") == "Bearer second-engine-key"
        engine.requests.clear()
        await until(lambda: any(request.target == "/metrics" for request in engine.requests))
        assert {request.get("authorization") for request in engine.requests} == {"Bearer second-engine-key"}


async def test_without_tenants_the_router_says_so_once_and_passes_keys_on(engine: FakeEngine, tmp_path: Path) -> None:
    async with router_process(tmp_path, engine, workers=2) as running, client_of(running, "any") as client:
        await ask(client)
    assert len([line for line in running.log if "router is open" in line]) == 1
    assert posts(engine)[0].get("authorization") == "Bearer any"
