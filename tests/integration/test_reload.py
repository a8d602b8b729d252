"""The configuration is changed under load, and not one request is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.fakes.fake_engine import FakeEngine, Request, Wire, behave, chat
from tests.fakes.router_process import RouterProcess, router_process
from tests.fakes.running import RawClient, until

PLAIN = b'{"model":"qwen","messages":[]}'
STREAM = b'{"model":"qwen","messages":[],"stream":true}'


async def slow(request: Request, wire: Wire) -> None:
    if request.target == "/v1/chat/completions" and request.json().get("stream"):
        await chat(request, wire, tokens=5, pause_s=0.01)
    else:
        await behave(request, wire)


async def state(router: RouterProcess) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{router.admin_url}/state") as answer:
        return await answer.json()


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "wattroute.yaml"
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document))


async def taken(router: RouterProcess, times: int, workers: int) -> None:
    """Until every worker goes by the latest of so many configurations."""
    async with asyncio.timeout(30):
        while True:
            config = (await state(router))["config"]
            if config["reloads"]["taken"] == times and list(config["workers_by_hash"].values()) == [workers]:
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_request_is_lost_while_engines_come_and_go(tmp_path: Path, workers: int) -> None:
    async with FakeEngine(slow) as one, FakeEngine(slow) as two, FakeEngine(slow) as three:
        sets = [[one, two], [two, three], [three], [three, one], [one]]
        async with router_process(tmp_path, *sets[0], workers=workers) as router:
            statuses: list[int] = []
            over = asyncio.Event()

            async def client() -> None:
                while not over.is_set():
                    async with RawClient.to(router.port) as raw:
                        for _ in range(5):
                            await raw.post(STREAM)
                            reply = await raw.reply()
                            whole = reply.body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
                            statuses.append(reply.status if whole else 0)

            clients = [asyncio.create_task(client()) for _ in range(6)]
            for number, engines in enumerate(sets[1:], start=1):
                await until(lambda goal=30 * number: len(statuses) >= goal, seconds=30)
                urls = [engine.url for engine in engines]
                rewrite(tmp_path, lambda document, urls=urls: document["pools"][0].update(instances=urls))
                os.kill(router.pid, signal.SIGHUP)
                await taken(router, number, workers)
            before = len(three.requests)
            goal = len(statuses) + 40
            await until(lambda: len(statuses) >= goal, seconds=30)
            over.set()
            await asyncio.gather(*clients)
            assert set(statuses) == {200}
            assert len(statuses) >= 150
            late = [request.target for request in three.requests[before:]]
            assert "/v1/chat/completions" not in late
            after = await state(router)
            assert [instance["url"] for instance in after["instances"]] == [one.url]
            assert sum(instance["in_flight"] for instance in after["instances"]) == 0
            assert sum(counts["in_flight"] for counts in after["classes"]) == 0


async def test_a_file_that_changes_is_seen_and_a_wrong_one_refused(tmp_path: Path) -> None:
    async with FakeEngine() as engine, router_process(tmp_path, engine, reload=True) as router:  # type: ignore[arg-type]
        rewrite(tmp_path, lambda document: document["pools"][0].update(static_weight="much"))
        async with asyncio.timeout(30):
            while (await state(router))["config"]["last_error"] is None:
                await asyncio.sleep(0.05)
        refused = (await state(router))["config"]
        assert "wattroute.yaml:" in refused["last_error"]
        assert "static_weight" in refused["last_error"]
        rewrite(tmp_path, lambda document: document["pools"][0].update(static_weight=2, max_in_flight=7))
        await taken(router, 1, 1)
        after = await state(router)
        assert after["instances"][0]["max_in_flight"] == 7
        assert after["config"]["last_error"] is None
        async with RawClient.to(router.port) as client:
            await client.post(PLAIN)
            assert (await client.reply()).status == 200
    assert any("configuration refused" in line for line in router.log)


async def test_a_class_that_is_removed_while_its_requests_body_still_comes(tmp_path: Path) -> None:
    classes = [{"name": "standard"}, {"name": "gold"}]
    async with (
        FakeEngine() as engine,
        router_process(tmp_path, engine, sections={"classes": classes}) as router,
        RawClient.to(router.port) as client,
    ):
        # A first request has the router know the head, and what it means.
        await client.post(PLAIN, "X-Wattroute-Class: gold")
        assert (await client.reply()).status == 200
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Length: {len(PLAIN)}\r\n"
        await client.send(head.encode() + b"X-Wattroute-Class: gold\r\n\r\n" + PLAIN[:5])
        rewrite(tmp_path, lambda document: document.update(classes=classes[:1]))
        os.kill(router.pid, signal.SIGHUP)
        await taken(router, 1, 1)
        await client.send(PLAIN[5:])
        reply = await client.reply()
        assert (reply.status, reply.get("x-wattroute-reason")) == (400, "unknown_class")


async def test_a_key_that_needs_a_restart_is_named_in_the_state(tmp_path: Path) -> None:
    async with FakeEngine() as engine, router_process(tmp_path, engine) as router:
        rewrite(tmp_path, lambda document: document["router"].update(workers=3))
        os.kill(router.pid, signal.SIGHUP)
        async with asyncio.timeout(30):
            while not (told := (await state(router))["config"])["needs_restart"]:
                await asyncio.sleep(0.02)
        assert told["needs_restart"] == ["router.workers"]
        assert told["reloads"] == {"taken": 0, "refused": 0, "unchanged": 1}
        assert json.dumps(told)
