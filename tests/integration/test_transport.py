"""TLS, Unix sockets and IPv6 as users set them up: the router as a process, the official client and curl."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import stat
import sys
from pathlib import Path
from typing import cast

import aiohttp
import openai
import pytest

from tests.fakes.certificates import Authority
from tests.fakes.fake_engine import MODEL, FakeEngine
from tests.fakes.network import NO_IPV6, has_ipv6
from tests.fakes.router_process import router_process
from tests.fakes.running import until

MESSAGES = [{"role": "user", "content": "hello"}]
several = pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])


def official(base_url: str, **options: object) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(**options)
    return openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="k", max_retries=0, http_client=http)


async def converse(client: openai.AsyncOpenAI) -> None:
    """A plain answer, a stream, and the list of models."""
    answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert answer.choices[0].message.content == "w0 w1 w2"
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "w0 w1 w2 "
    assert [model.id for model in (await client.models.list()).data] == [MODEL]


async def ask(session: aiohttp.ClientSession) -> None:
    body = {"model": MODEL, "messages": MESSAGES}
    async with session.post("/v1/chat/completions", json=body) as answer:
        assert (await answer.json())["choices"][0]["message"]["content"] == "w0 w1 w2"


@several
async def test_the_official_client_by_tls_on_both_sides(workers: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    clients, router, engines = (authority.issue(name) for name in ("client", "router", "engine"))
    async with (
        FakeEngine(tls=engines.server(clients=authority)) as engine,
        router_process(
            tmp_path,
            engine,
            workers=workers,
            pool={"tls": {"ca_file": str(authority.file), **router.settings()}},
            tls={**router.settings(), "client_ca_file": str(authority.file)},
        ) as running,
        official(f"https://127.0.0.1:{running.port}", verify=authority.client(clients)) as client,
        official(f"https://127.0.0.1:{running.port}", verify=authority.client()) as stranger,
    ):
        await converse(client)
        with pytest.raises(openai.APIConnectionError):
            await converse(stranger)
        assert [line for line in running.log if "engine answers probes" in line]


@several
async def test_a_changed_certificate_is_taken_without_a_restart(workers: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def serial(port: int) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=authority.client())
        found = cast(dict[str, str], writer.get_extra_info("peercert"))["serialNumber"]
        writer.transport.abort()
        return found

    async with (
        FakeEngine() as engine,
        router_process(tmp_path, engine, workers=workers, tls=authority.issue("router").settings()) as running,
    ):
        old = {await serial(running.port) for _ in range(8)}
        authority.issue("router")
        seen: set[str] = set()
        async with asyncio.timeout(20):
            while old & seen or not seen:
                await asyncio.sleep(0.2)
                seen = {await serial(running.port) for _ in range(8)}
        authority.expired("router")
        await until(lambda: [line for line in running.log if "expired on 2021" in line])
        assert {await serial(running.port) for _ in range(8)} == seen
        async with official(f"https://127.0.0.1:{running.port}", verify=authority.client()) as client:
            await converse(client)
        assert seen != old


@several
async def test_unix_sockets_on_both_sides(workers: int, tmp_path: Path) -> None:
    path = tmp_path / "router.sock"
    async with (
        FakeEngine(path=str(tmp_path / "engine.sock")) as engine,
        router_process(tmp_path, engine, workers=workers, listen=f"unix:{path}", listen_mode="0600") as running,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession("http://router", connector=connector) as session:
            await asyncio.gather(*(ask(session) for _ in range(16)))
        if shutil.which("curl"):
            process = await asyncio.create_subprocess_exec(
                "curl", "-sS", "--unix-socket", str(path), "http://router/v1/models", stdout=asyncio.subprocess.PIPE
            )
            out, _ = await process.communicate()
            assert json.loads(out)["data"][0]["id"] == MODEL
        assert running.port == 0
    assert not path.exists(), "the socket's file goes with the router"


@several
@pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)
async def test_ipv6_on_both_sides_and_ipv4_beside_it(workers: int, tmp_path: Path) -> None:
    async with (
        FakeEngine(host="::1") as engine,
        router_process(tmp_path, engine, workers=workers, host="::", admin_host="::1") as running,
    ):
        for host in ("[::1]", "127.0.0.1"):
            async with official(f"http://{host}:{running.port}") as client:
                await converse(client)


@pytest.mark.parametrize("arguments", [["--check"], []], ids=["checked", "started"])
@several
async def test_files_that_cannot_be_used_are_told_before_anything_listens(
    workers: int, arguments: list[str], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    pair = authority.expired("router")
    file = tmp_path / "wattroute.yaml"
    file.write_text(
        json.dumps(
            {
                "pools": [{"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:9"]}],
                "router": {"port": 0, "admin_port": 0, "workers": workers, "tls": pair.settings()},
            }
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "router.cli", "--config", str(file), *arguments),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 2
    assert b"router.pem: it expired on 2021-01-01 00:00:00Z; install a new one" in err
    assert b"Traceback" not in err


async def test_a_client_that_speaks_tls_to_a_plain_port_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    async with FakeEngine() as engine, router_process(tmp_path, engine) as running:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", running.port, ssl=Authority(tmp_path).client())
        async with official(running.url) as client:
            await converse(client)
