import asyncio
import contextlib
import os
import signal
import socket

import aiohttp
import pytest

from controller.app import LEDGER_NAME, Endpoints, Service, ServiceOptions, assemble, serve
from controller.errors import ListenError, SolverError, StoreError
from controller.runner import RunnerOptions
from controller.signals.feeds import ConstantFeed
from controller.store.ledger import Ledger, verify_file
from controller.tick import Mode, TickPolicy
from tests.fakes.controller_parts import pool, site
from tests.fakes.http_stub import closed_url
from tests.fakes.plain_engines import PlainEngines


class NoPlanner:
    """A solver that never has a plan, so that the ladder goes down to its last step."""

    def plan(self, data, *, time_limit_s):
        raise SolverError("no solver in this test")

    def dispatch(self, data, on):
        raise SolverError("no solver in this test")


@contextlib.asynccontextmanager
async def assembled(folder, **more):
    dead = closed_url()
    async with (
        aiohttp.ClientSession() as session,
        assemble(
            site(pool("bf16", (dead,))),
            TickPolicy(mode=Mode.ACT),
            NoPlanner(),
            endpoints=Endpoints(
                PlainEngines(session), dcgm_urls=(f"{dead}/metrics",), router_urls=(dead,), supervisor_url=dead, **more
            ),
            price_usd_per_mwh=ConstantFeed(50.0, "usd_per_mwh"),
            carbon_kg_per_mwh=ConstantFeed(300.0, "kg_per_mwh"),
            options=ServiceOptions(data_dir=folder, timeout_s=0.5, pace=RunnerOptions(tick_s=0.2, sample_s=0.1)),
        ) as service,
    ):
        yield service


@contextlib.asynccontextmanager
async def serving(service: Service):
    listening = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(service, "127.0.0.1", 0, on_listening=listening.set_result))
    try:
        yield f"http://127.0.0.1:{await listening}", task
    finally:
        service.runner.stop()
        await task


async def eventually(session, url, status=200):
    async with asyncio.timeout(30):
        while True:
            async with session.get(url) as answer:
                if answer.status == status:
                    return await answer.read()
            await asyncio.sleep(0.05)


async def test_a_controller_that_reaches_nothing_still_decides_shows_and_records(tmp_path):
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        async with session.get(f"{url}/api/state") as answer:
            state = await answer.json()
        assert "cannot connect" in state["power"]["missing"]
        assert state["pools"][0]["instances"][0]["state"] == "unreachable"
        async with asyncio.timeout(20):
            while not service.board.snapshot["ladder"]:
                await asyncio.sleep(0.05)
        assert b"wattroute_controller_fallbacks_total" in await eventually(session, f"{url}/metrics")
        assert b"<title>wattroute</title>" in await eventually(session, f"{url}/")
    assert verify_file(tmp_path / LEDGER_NAME).checked > 0
    ledger = Ledger(tmp_path / LEDGER_NAME)  # given back
    assert ledger.records("decision")
    ledger.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_with_open_pages(tmp_path, number):
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, task),
    ):
        await eventually(session, f"{url}/readyz")
        async with session.get(f"{url}/api/stream") as stream:
            await stream.content.readuntil(b"\n\n")
            os.kill(os.getpid(), number)
            async with asyncio.timeout(20):
                await task
    assert verify_file(tmp_path / LEDGER_NAME).checked > 0


async def test_a_taken_port_is_told_with_its_remedy(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        async with assembled(tmp_path) as service:
            with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}: .*choose another one"):
                await serve(service, "127.0.0.1", port)
    assert ListenError.exit_code == 3


async def test_a_second_controller_on_the_same_records_is_refused(tmp_path):
    async with assembled(tmp_path):
        with pytest.raises(StoreError, match="another controller writes it"):
            async with assembled(tmp_path):
                pass


async def test_events_outlast_a_restart(tmp_path):
    event = {"limit_w": 500, "duration_s": 3600, "event_id": "e1"}
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
        session.post(f"{url}/v1/events", json=event) as answer,
    ):
        assert answer.status == 201
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
        session.get(f"{url}/v1/events") as answer,
    ):
        assert [e["event_id"] for e in (await answer.json())["events"]] == ["e1"]


async def test_a_redis_that_is_down_is_told_and_the_table_is_still_served(tmp_path):
    redis_url = closed_url().replace("http", "redis")
    async with (
        assembled(tmp_path, redis_url=redis_url) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        async with asyncio.timeout(20):
            while not any(fault.step == "publish" for fault in service.runner.status.faults):
                await asyncio.sleep(0.05)
        await eventually(session, f"{url}/v1/allocation")
