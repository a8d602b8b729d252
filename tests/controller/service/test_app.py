import asyncio
import contextlib
import math
import time
from random import Random

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.errors import StoreError
from controller.loop.continuity import STATE_NAME
from controller.loop.runner import RunnerOptions
from controller.model.fleet import RequestClass
from controller.model.programme import Programme
from controller.service.app import assemble
from controller.service.options import Endpoints, Feeds, ServiceOptions
from controller.service.proof import LEDGER_NAME
from controller.signals.canary import CanaryTask
from controller.signals.feeds import ConstantFeed
from controller.store.ledger import Ledger, verify_file
from controller.store.meter import FILE_NAME as METER_NAME
from controller.store.meter import MeterStore
from controller.store.meter_file import TABLES
from controller.store.sqlite_file import open_tables
from controller.tick import Mode, TickPolicy
from router.contract import ClassId, Precision
from router.transport.redis_place import RedisPlace
from tests.fakes.assembled import BUILT_IN, NoPlanner, assembled, eventually, serving
from tests.fakes.controller_parts import pool, site
from tests.fakes.http_stub import closed_url, http_stub
from tests.fakes.plain_engines import PlainEngines


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


async def test_background_work_that_fails_is_shown_and_counted(tmp_path, monkeypatch):
    async def fail(task):
        raise ValueError("a fault")

    monkeypatch.setattr(CanaryTask, "run", fail)
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        async with session.get(f"{url}/api/state") as answer:
            ladder = (await answer.json())["ladder"]
        (step,) = [step for step in ladder if step["ladder"] == "background"]
        assert (step["step"], step["reason"].partition(";")[0]) == ("canaries", "ValueError: a fault")
        told = await eventually(session, f"{url}/metrics")
        assert b'wattroute_controller_background_failures_total{work="canaries"} 0.0' not in told
    monkeypatch.undo()
    async with (
        assembled(tmp_path) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        told = await eventually(session, f"{url}/metrics")
        assert b'wattroute_controller_background_failures_total{work="canaries"} 0.0' in told, "another service's"


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


async def test_a_source_that_was_lost_is_so_after_a_restart_and_its_programme_says_what_holds(tmp_path):
    terms = BUILT_IN | {"dr": Programme("dr", default_limit_w=4000.0, hold_s=0.2)}
    async with (
        assembled(tmp_path, terms) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        service.calls.watch("vtn", ("dr",), time.time())
        service.calls.heard("vtn", time.time())
        state = await state_with(session, url, lambda grid: grid["sources"] and grid["sources"][0]["is_lost"])
        assert (state["limit"]["limit_w"], state["limit"]["event_id"]) == (4000.0, "lost:vtn:dr")
        text = (await eventually(session, f"{url}/metrics")).decode()
        assert 'wattroute_controller_grid_source_lost{source="vtn"} 1.0' in text
        assert "wattroute_controller_grid_limit_watts 4000.0" in text
        await asyncio.sleep(0.5)  # a tick that keeps it
    async with (
        assembled(tmp_path, terms) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        service.calls.watch("vtn", ("dr",), time.time())
        state = await state_with(session, url, lambda grid: grid["sources"])
        assert (state["sources"][0]["is_lost"], state["limit"]["limit_w"]) == (True, 4000.0)

        def is_heard(grid):
            service.calls.heard("vtn", time.time())
            return not grid["sources"][0]["is_lost"] and grid["limit"]["limit_w"] is None

        await state_with(session, url, is_heard)


async def state_with(session, url, holds):
    """What the API tells of the grid, once something holds of it."""
    async with asyncio.timeout(20):
        while True:
            async with session.get(f"{url}/api/state") as answer:
                grid = (await answer.json()).get("grid") if answer.status == 200 else None
            if grid is not None and holds(grid):
                return grid
            await asyncio.sleep(0.05)


class LossyRouter:
    """A router's `/state` that counts output tokens of the class on a pool of a lower precision."""

    def __init__(self, stub):
        self.tokens = 0.0
        stub.set("/state", self.state)

    async def state(self, _):
        entry = {"class_id": "standard", "requests": 1, "finished": 1, "in_flight": 0, "queued": 0}
        entry |= {"input_tokens": 1, "output_tokens": self.tokens, "refused": 0}
        entry["output_tokens_by_pool"] = {"int4": self.tokens}
        return web.json_response({"schema_version": 1, "table": {"sequence": 1}, "classes": [entry]})


@contextlib.asynccontextmanager
async def burning(folder, router_url, clock=None):
    """A controller over one lossy pool, whose engine does not answer; yields the service after its first
    decision, and what its metrics say of the budget."""
    dead = closed_url()
    lossy = site(
        pool("int4", (dead,), Precision.INT4, quality_loss_frac=0.02),
        classes=(RequestClass(ClassId("standard"), quality_budget_frac=0.01),),
    )
    pace = RunnerOptions(tick_s=0.2, sample_s=0.1)
    async with (
        aiohttp.ClientSession() as session,
        assemble(
            lossy,
            TickPolicy(mode=Mode.ACT),
            NoPlanner(),
            endpoints=Endpoints(PlainEngines(session), router_urls=(router_url,)),
            feeds=Feeds(ConstantFeed(50.0, "usd_per_mwh"), ConstantFeed(300.0, "kg_per_mwh")),
            options=ServiceOptions(data_dir=folder, timeout_s=0.5, pace=pace),
            works=Works(Random(0)),
            clock=clock,
        ) as service,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        name = 'wattroute_controller_quality_left_frac{class="standard"} '

        async def lines():
            text = (await eventually(session, f"{url}/metrics")).decode()
            return [line for line in text.splitlines() if line.startswith(name)]

        async def left_frac():
            (line,) = await lines()
            return float(line.removeprefix(name))

        async def is_told():
            status = service.runner.status
            return status is not None and status.decision is not None and await lines()

        await until(is_told)
        yield service, left_frac


async def until(holds):
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.05)


async def burn_all(router, folder):
    """Live once: 1,000 tokens at a loss of 0.02 where the budget is 0.01, which overdraws it wholly."""
    counts = LossyRouter(router)
    async with burning(folder, router.url) as (_, left_frac):
        counts.tokens = 1000.0

        async def is_burnt():
            return await left_frac() == pytest.approx(-1.0)

        await until(is_burnt)
        return counts


async def test_a_burnt_budget_stays_burnt_over_a_restart_and_what_was_served_meanwhile_counts(tmp_path):
    async with http_stub() as router:
        counts = await burn_all(router, tmp_path)
        counts.tokens = 3000.0  # while no controller ran
        async with burning(tmp_path, router.url) as (service, left_frac):
            assert await left_frac() == pytest.approx(-1.0)

            async def is_counted():
                (burn,) = service.runner.status.decision.memory.burns
                return burn.tokens == 3000.0

            await until(is_counted)


async def test_a_damaged_state_leaves_the_class_no_budget_and_is_told(tmp_path, caplog):
    async with http_stub() as router:
        await burn_all(router, tmp_path)
        (tmp_path / STATE_NAME).write_text("{")
        async with burning(tmp_path, router.url) as (service, left_frac):
            assert math.isnan(await left_frac())
            (told,) = service.runner.status.decision.diagnostics.classes
            assert told.quality_allowed_frac == 0.0
            ladder = [line for line in service.board.snapshot["ladder"] if line["ladder"] == "quality"]
            assert [line["step"] for line in ladder] == ["counts as burnt"]
    assert "state.json: is no JSON" in next(r.reason for r in caplog.records if "state not restored" in r.message)


async def test_a_clock_that_is_set_back_gives_no_budget_back(tmp_path):
    class Behind(SystemClock):
        def wall_s(self):
            return super().wall_s() - 100_000.0

    async with http_stub() as router:
        await burn_all(router, tmp_path)
        async with burning(tmp_path, router.url, Behind()) as (_, left_frac):
            assert await left_frac() == pytest.approx(-1.0)


async def test_a_redis_that_is_down_is_told_and_the_table_is_still_served(tmp_path):
    redis_url = closed_url().replace("http", "redis")
    async with (
        assembled(tmp_path, redis=RedisPlace(redis_url)) as service,
        aiohttp.ClientSession() as session,
        serving(service) as (url, _),
    ):
        await eventually(session, f"{url}/readyz")
        async with asyncio.timeout(20):
            while not any(fault.step == "publish" for fault in service.runner.status.faults):
                await asyncio.sleep(0.05)
        await eventually(session, f"{url}/v1/allocation")


async def test_the_sites_power_is_kept_second_by_second(tmp_path):
    """Nothing measures here: what is kept are gaps, and they are kept as such."""
    async with assembled(tmp_path) as service, serving(service):
        async with asyncio.timeout(30):
            while service.runner.status is None:
                await asyncio.sleep(0.05)
    with contextlib.closing(MeterStore(tmp_path / METER_NAME)) as store:
        now_s = SystemClock().wall_s()
        (mean,) = store.means(now_s - 60.0, now_s, 60.0)
    with contextlib.closing(open_tables(tmp_path / METER_NAME, TABLES)) as db:
        rows = db.execute("SELECT power_w FROM seconds").fetchall()
    assert mean.mean_w is None
    assert rows
    assert {power_w for (power_w,) in rows} == {None}
