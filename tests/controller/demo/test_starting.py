from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from controller.clock import VirtualClock
from controller.demo import processes, stage, starting
from controller.demo.options import DemoOptions
from controller.demo.processes import Wait
from controller.lifecycle.policy import Mode
from tests.fakes.http_stub import closed_url, http_stub

NOW_S = 1_700_000_000.0


@pytest.fixture
async def wait() -> AsyncIterator[Wait]:
    async with aiohttp.ClientSession() as session:
        yield Wait(session, VirtualClock(NOW_S), asyncio.Event())


def prepared(folder: Path, router_admin: str = "", mode: Mode = Mode.ACT) -> stage.Stage:
    made = stage.prepare(DemoOptions(headless=True, seconds=20.0, data_dir=folder), NOW_S)
    controller = made.settings.controller.model_copy(update={"mode": mode})
    return dataclasses.replace(
        made,
        settings=made.settings.model_copy(update={"controller": controller}),
        urls=dataclasses.replace(made.urls, router_admin=router_admin or made.urls.router_admin),
    )


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started and waited for, in order; no process is."""
    told: list[str] = []

    def start(name: str, argv: list[str], log_path: Path) -> str:
        told.append(f"start {name} {argv[2]} {log_path.name}")
        return name

    async def ready(children: list[str], url: str, wait: Wait) -> None:
        told.append(f"ready {children[-1]} {url.rpartition('/')[2]}")

    monkeypatch.setattr(processes, "start", start)
    monkeypatch.setattr(processes, "until_ready", ready)
    monkeypatch.setattr(processes, "check", lambda children: None)
    return told


async def test_each_process_is_ready_before_the_next_is_started(tmp_path: Path, wait: Wait, begun: list[str]) -> None:
    started: list[processes.Child] = []
    await starting.start(prepared(tmp_path, mode=Mode.OBSERVE), started, wait)
    assert begun == [
        "start emulator controller.cli emulator.log",
        "ready emulator healthz",
        "start router router.cli router.log",
        "ready router readyz",
        "start controller controller.cli controller.log",
        "ready controller readyz",
    ]
    assert len(started) == 3


async def test_nothing_more_is_started_once_the_user_stops(tmp_path: Path, wait: Wait, begun: list[str]) -> None:
    wait.stop.set()
    await starting.start(prepared(tmp_path), [], wait)
    assert begun == []


async def test_a_controller_that_acts_is_waited_for_until_the_router_obeys_it(
    tmp_path: Path, wait: Wait, begun: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with http_stub() as router:
        states = iter(["none", "stale", "fresh"])

        async def state(_: web.Request) -> web.Response:
            return web.json_response({"table": {"state": next(states)}})

        router.set("/state", state)
        await starting.start(prepared(tmp_path, router.url), [], wait)
        assert router.requests == ["GET /state"] * 3
    assert "the router obeys no table yet" not in caplog.messages


@pytest.mark.parametrize("answer", [None, {"table": {}}, "no JSON"])
async def test_a_router_that_obeys_nothing_is_told_after_a_while_and_the_demo_goes_on(
    tmp_path: Path, wait: Wait, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    async with http_stub() as router:
        router.set("/state", answer)
        url = closed_url() if answer is None else router.url
        await starting.until_obeyed(prepared(tmp_path, url), [], wait)
    assert wait.clock.monotonic_s() >= starting.TABLE_S
    assert "the router obeys no table yet" in caplog.messages
