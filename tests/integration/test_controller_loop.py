"""The controller's whole loop over HTTP, against emulated engines and GPUs and a router that obeys its tables."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from controller.background import Works
from controller.clock import SystemClock
from controller.lifecycle.handback import OnExit
from controller.lifecycle.policy import Mode, TickPolicy
from controller.loop.runner import RunnerOptions
from controller.model.fleet import Instance, Pool, Site, resting_awake
from controller.model.observation import InstanceState, Observation
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.service.app import assemble
from controller.service.options import Endpoints, Feeds, ServiceOptions
from controller.service.proof import LEDGER_NAME
from controller.service.serving import Service, serve
from controller.signals.feeds import ConstantFeed
from controller.signals.power.specs import DcgmSpec, PowerSpecs
from controller.simulation.emulated_instance import EmulatedInstance
from controller.simulation.emulator import Emulator, run_emulator
from controller.store.ledger import Ledger, verify_file
from controller.store.plain import from_plain
from router.contract import AllocationTable, InstanceId, PoolId, Precision, decode
from tests.fakes.controller_parts import curves, pool, site
from tests.fakes.http_stub import HttpStub, http_stub
from tests.fakes.plain_engines import PlainEngines
from tests.fakes.pool_modes import with_modes

pytestmark = pytest.mark.timeout(120)
CURVES = dataclasses.replace(curves(), wake_s=0.3, sleep_s=0.2)


class RefusingEngines(PlainEngines):
    """Refuse the first request for one path; none for an empty one."""

    def __init__(self, session: aiohttp.ClientSession, refused: str) -> None:
        super().__init__(session)
        self.refused = refused

    def request(self, method: str, url: str, path: str, **options: Any) -> Any:
        if path == self.refused:
            path, self.refused = "/refused", ""
        return super().request(method, url, path, **options)


@dataclass
class Plant:
    """Everything a test looks at.

    Attributes:
        is_silent: the router does not answer while set.
    """

    fleet: Site
    router_url: str
    session: aiohttp.ClientSession
    emulator: Emulator
    engines: RefusingEngines
    url: str = ""
    service: Service = dataclasses.field(init=False)
    is_silent: bool = False

    def states(self) -> dict[str, InstanceState]:
        return {name: self.emulator.engine(name).state for name in self.emulator.ports}

    def snapshot(self) -> dict[str, Any]:
        return self.service.board.snapshot or {}

    async def table(self) -> AllocationTable:
        async with self.session.get(f"{self.url}/v1/allocation") as answer:
            return decode(await answer.read())

    async def until(self, is_so: Any) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                await asyncio.sleep(0.05)

    async def metric(self, name: str) -> float:
        async with self.session.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        return next(
            float(line.split()[1]) for line in text.splitlines() if line.startswith(f"wattroute_controller_{name} ")
        )


async def emulate(second: InstanceState, min_on: int, can_sleep: bool) -> tuple[Emulator, Site]:
    """Two BF16 instances, of which the first serves; all ports are chosen by the system."""
    names = ("bf16-0", "bf16-1")
    uuids = {name: (f"GPU-emulated-{name}-0",) for name in names}
    instances = tuple(
        EmulatedInstance(name, "127.0.0.1", 0, CURVES, "bf16", uuids[name], state)
        for name, state in zip(names, (InstanceState.SERVING, second), strict=True)
    )
    emulator = await run_emulator(instances, control_host="127.0.0.1", control_port=0, model="m")
    bare: Pool = pool("bf16", (), Precision.BF16, gpus=1, curves=CURVES, min_on=min_on, min_up_s=0.0)
    bare = bare if can_sleep else resting_awake(bare)
    listed = tuple(
        Instance(InstanceId(name), f"http://127.0.0.1:{emulator.ports[name]}", uuids[name]) for name in names
    )
    return emulator, site(dataclasses.replace(bare, pool_id=PoolId("bf16"), instances=listed))


def obedient_router(stub: HttpStub, plant: Plant) -> None:
    """`/state` of a router that takes every table at once and sees steady demand."""
    served = {"requests": 0}

    async def state(_: web.Request) -> web.Response:
        if plant.is_silent:
            return web.Response(status=503)
        async with plant.session.get(f"{plant.url}/v1/allocation") as answer:
            sequence = decode(await answer.read()).sequence if answer.status == 200 else -1
        served["requests"] += 1
        count = served["requests"]
        entry = {"class_id": "standard", "requests": count, "finished": count, "in_flight": 0, "queued": 0}
        entry |= {"input_tokens": 10 * count, "output_tokens": 10 * count, "refused": 0}
        entry["output_tokens_by_pool"] = {"bf16": 10 * count}
        return web.json_response({"schema_version": 1, "table": {"sequence": sequence}, "classes": [entry]})

    stub.set("/state", state)


@contextlib.asynccontextmanager
async def fleet_of_two(
    second: InstanceState = InstanceState.SERVING, min_on: int = 1, *, can_sleep: bool = True, refused: str = ""
) -> AsyncIterator[Plant]:
    """Engines and a router that outlast the controllers which `controlling` runs over them."""
    emulator, fleet = await emulate(second, min_on, can_sleep)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(emulator.close)
        router = await stack.enter_async_context(http_stub())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        plant = Plant(fleet, router.url, session, emulator, RefusingEngines(session, refused))
        obedient_router(router, plant)
        yield plant


@contextlib.asynccontextmanager
async def controlling(
    plant: Plant, folder: Path, *, on_exit: OnExit = OnExit.WAKE, **policy: Any
) -> AsyncIterator[None]:
    """A controller's life."""
    control, clock = f"http://127.0.0.1:{plant.emulator.control_port}", SystemClock()
    pace = RunnerOptions(tick_s=0.5, sample_s=0.25)
    async with assemble(
        plant.fleet,
        TickPolicy(**{"mode": Mode.ACT, "warmup_s": 1e9, "slow_interval_s": 2.0, "steps": 3, **policy}),
        CvxpyPlanner(clock.monotonic_s),
        endpoints=Endpoints(
            plant.engines,
            PowerSpecs((("dcgm", DcgmSpec((f"{control}/metrics",))),)),
            (plant.router_url,),
            control,
        ),
        feeds=Feeds(ConstantFeed(50.0, "usd_per_mwh"), ConstantFeed(300.0, "kg_per_mwh")),
        options=ServiceOptions(data_dir=folder, on_exit=on_exit, pace=pace),
        works=Works(Random(0)),
        clock=clock,
    ) as plant.service:
        listening = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(plant.service, "127.0.0.1", 0, on_listening=listening.set_result))
        plant.url = f"http://127.0.0.1:{await listening}"
        try:
            yield
        finally:
            plant.service.runner.stop()
            await task


@contextlib.asynccontextmanager
async def running(
    folder: Path, *, second: InstanceState = InstanceState.SERVING, min_on: int = 1, **policy: Any
) -> AsyncIterator[Plant]:
    async with fleet_of_two(second, min_on) as plant, controlling(plant, folder, **policy):
        yield plant


async def curtail(plant: Plant, **event: Any) -> None:
    body = {"duration_s": 600, "ramp_s": 5, "event_id": "e1", **event}
    async with plant.session.post(f"{plant.url}/v1/events", json=body) as answer:
        assert answer.status == 201, await answer.text()


async def test_an_event_puts_an_instance_to_sleep_and_brings_power_down(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        await plant.until(lambda: (plant.snapshot().get("power") or {}).get("measured_w"))
        full_w = plant.snapshot()["power"]["measured_w"]
        assert plant.snapshot()["emulated"] is True
        # Two idle instances draw 1800 W; one of them asleep leaves room for the other's busy power.
        await curtail(plant, limit_w=1.85 * full_w)
        await plant.until(lambda: plant.snapshot()["event"] is not None)
        await plant.until(lambda: InstanceState.SLEEPING in plant.states().values())
        assert list(plant.states().values()).count(InstanceState.SERVING) == 1
        await plant.until(lambda: plant.snapshot()["power"]["measured_w"] < 0.9 * full_w)
        table = await plant.table()
        (asleep,) = (name for name, state in plant.states().items() if state is InstanceState.SLEEPING)
        assert table.event is not None
        async with plant.session.delete(f"{plant.url}/v1/events/e1") as answer:
            assert answer.status == 200
        await plant.until(lambda: plant.snapshot()["event"] is None)
    assert verify_file(tmp_path / LEDGER_NAME).checked > 0
    ledger = Ledger(tmp_path / LEDGER_NAME)
    (slept,) = [r.payload for r in ledger.records("actuation") if r.payload["instance_id"] == asleep][:1]
    assert (slept["verb"], slept["is_done"]) == ("sleep", True)
    decided = ledger.records("decision")
    assert all(from_plain(Observation, record.payload["observation"]).now_s > 0 for record in decided)
    ledger.close()


async def test_engines_that_cannot_sleep_are_drained_under_a_limit_and_told_nothing(tmp_path: Path) -> None:
    def is_resting() -> bool:
        decided = (record.payload["diagnostics"] for record in plant.service.ledger.records("decision"))
        return [each["pools"][0]["sleeping"] for each in decided if each is not None][-1:] == [1]

    async with fleet_of_two(can_sleep=False) as plant, controlling(plant, tmp_path):
        await plant.until(lambda: (plant.snapshot().get("power") or {}).get("measured_w"))
        # Two that work draw 5333 W by their curves, one that does and one that is idle 3567 W.
        await curtail(plant, limit_w=4_200.0)
        await plant.until(is_resting)
        assert len((await plant.table()).draining) == 1
        assert plant.snapshot()["pools"][0]["draining"] == 1
        async with plant.session.delete(f"{plant.url}/v1/events/e1") as answer:
            assert answer.status == 200
        await plant.until(lambda: plant.snapshot()["event"] is None)
        assert set(plant.states().values()) == {InstanceState.SERVING}
        assert plant.service.ledger.records("actuation") == []


async def test_an_instance_that_is_wanted_is_woken_and_answers_its_canary_first(tmp_path: Path) -> None:
    async with running(tmp_path, second=InstanceState.SLEEPING, min_on=2) as plant:
        await plant.until(lambda: plant.service.ledger.records("actuation"))
        (woken, *_) = (record.payload for record in plant.service.ledger.records("actuation"))
        assert (woken["verb"], woken["instance_id"], woken["is_done"]) == ("wake", "bf16-1", True)
        assert woken["detail"] == "awake, canary answered"
        await plant.until(lambda: plant.snapshot()["pools"][0]["on"] == 2)


@pytest.mark.parametrize("refused", ["/wake_up", "/v1/completions"])
async def test_a_wake_that_fails_is_tried_again_and_no_request_is_sent_before_its_canary_has_answered(
    tmp_path: Path, refused: str
) -> None:
    def wakes() -> list[bool]:
        told = [record.payload for record in plant.service.ledger.records("actuation")]
        return [each["is_done"] for each in told if each["verb"] == "wake" and each["instance_id"] == "bf16-1"]

    def is_shown_failed() -> bool:
        return any(each["step"] == "actuate bf16-1" for each in plant.snapshot()["ladder"])

    async with (
        fleet_of_two(InstanceState.SLEEPING, min_on=2, refused=refused) as plant,
        controlling(plant, tmp_path, command_retry_s=3.0),
    ):
        await plant.until(wakes)
        await plant.until(is_shown_failed)
        async with asyncio.timeout(30):
            while "bf16-1" in (await plant.table()).draining:
                await asyncio.sleep(0.05)
        assert wakes() == [False, True]
        await plant.until(lambda: plant.snapshot()["pools"][0]["on"] == 2 and not is_shown_failed())


async def test_a_controller_that_starts_again_sends_no_request_to_an_engine_whose_canary_was_not_answered(
    tmp_path: Path,
) -> None:
    def wakes() -> list[tuple[bool, str]]:
        told = [record.payload for record in plant.service.ledger.records("actuation")]
        return [(each["is_done"], each["detail"]) for each in told if each["instance_id"] == "bf16-1"]

    async with fleet_of_two(InstanceState.SLEEPING, min_on=2, refused="/v1/completions") as plant:
        async with controlling(plant, tmp_path, on_exit=OnExit.LEAVE, command_retry_s=1e3):
            await plant.until(wakes)
        assert plant.states()["bf16-1"] is InstanceState.SERVING
        plant.engines.refused = "/v1/completions"
        async with controlling(plant, tmp_path, command_retry_s=3.0):
            await plant.until(lambda: plant.snapshot().get("sequence") is not None)
            async with asyncio.timeout(30):
                while "bf16-1" in (await plant.table()).draining:
                    await asyncio.sleep(0.05)
            assert [is_done for is_done, _ in wakes()] == [False, False, True]
            assert wakes()[-1][1] == "already awake, canary answered"


async def test_nothing_is_put_to_sleep_before_the_routers_have_agreed(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        await plant.until(lambda: plant.service.runner.is_ready and plant.snapshot()["sequence"])
        plant.is_silent = True
        await plant.until(lambda: plant.snapshot()["acknowledged_sequence"] is None)
        await curtail(plant, limit_w=1.0)
        ticks = len(plant.service.ledger.records("decision"))
        await plant.until(lambda: len(plant.service.ledger.records("decision")) > ticks + 8)
        assert InstanceState.SLEEPING not in plant.states().values()
        assert plant.service.ledger.records("actuation") == []


async def test_an_observing_controller_moves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, mode=Mode.OBSERVE) as plant:
        await plant.until(lambda: plant.service.runner.is_ready)
        await curtail(plant, limit_w=1.0)
        ticks = len(plant.service.ledger.records("decision"))
        await plant.until(lambda: len(plant.service.ledger.records("decision")) > ticks + 5)
        async with plant.session.get(f"{plant.url}/v1/allocation") as answer:
            assert answer.status == 503
        assert set(plant.states().values()) == {InstanceState.SERVING}


async def test_an_engine_that_stops_is_seen_and_power_is_still_known(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        await plant.until(lambda: (plant.snapshot().get("power") or {}).get("measured_w"))
        plant.emulator.engine("bf16-1").stop()
        await plant.until(lambda: plant.snapshot()["pools"][0]["instances"][1]["state"] == "off")
        await plant.until(lambda: (plant.snapshot()["power"]["measured_w"] or 1e9) < 1200)
        table = plant.service.board.snapshot
        assert table["pools"][0]["on"] == 1


async def put_one_to_sleep(plant: Plant) -> None:
    """By an event that leaves room for both idle instances, but not for two busy ones."""
    await plant.until(lambda: (plant.snapshot().get("power") or {}).get("measured_w"))
    await curtail(plant, limit_w=1.85 * plant.snapshot()["power"]["measured_w"])
    await plant.until(lambda: InstanceState.SLEEPING in plant.states().values())


async def withdraw(plant: Plant) -> None:
    async with plant.session.delete(f"{plant.url}/v1/events/e1") as answer:
        assert answer.status == 200
    await plant.until(lambda: plant.snapshot()["event"] is None and plant.snapshot()["power"]["limit_w"] is None)


async def test_what_the_controller_put_to_sleep_is_awake_when_it_has_ended(tmp_path: Path) -> None:
    async with fleet_of_two() as plant:
        async with controlling(plant, tmp_path):
            await put_one_to_sleep(plant)
            await withdraw(plant)
            assert await plant.metric("sleepers") == 1
        assert set(plant.states().values()) == {InstanceState.SERVING}
    ledger = Ledger(tmp_path / LEDGER_NAME)
    last = ledger.records("actuation")[-1].payload
    ledger.close()
    assert (last["verb"], last["is_done"], last["reason"]) == ("wake", True, "the controller ends")


async def test_a_limit_in_force_outlasts_the_controller(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as plant:
        await put_one_to_sleep(plant)
    assert InstanceState.SLEEPING in plant.states().values()
    assert caplog.messages[-1].startswith("instances stay asleep")


async def test_a_controller_that_comes_back_in_another_mode_gives_back_what_it_had_put_to_sleep(tmp_path: Path) -> None:
    async with fleet_of_two() as plant:
        async with controlling(plant, tmp_path, on_exit=OnExit.LEAVE):
            await put_one_to_sleep(plant)
            await withdraw(plant)
        assert InstanceState.SLEEPING in plant.states().values()
        async with controlling(plant, tmp_path, mode=Mode.RECOMMEND):
            await plant.until(lambda: set(plant.states().values()) == {InstanceState.SERVING})
            await plant.until(lambda: plant.service.ledger.records("actuation")[-1].payload["verb"] == "wake")
            assert await plant.metric("given_back_total") == 1
            assert await plant.metric("sleepers") == 0


async def test_a_pool_that_is_not_acted_upon_any_more_is_woken_and_moved_by_no_limit(tmp_path: Path) -> None:
    async with fleet_of_two() as plant:
        async with controlling(plant, tmp_path, on_exit=OnExit.LEAVE):
            await put_one_to_sleep(plant)
            await withdraw(plant)
        plant.fleet = with_modes(plant.fleet, bf16=Mode.RECOMMEND)
        async with controlling(plant, tmp_path):
            await plant.until(lambda: set(plant.states().values()) == {InstanceState.SERVING})
            await plant.until(lambda: plant.service.ledger.records("actuation")[-1].payload["verb"] == "wake")
            assert await plant.metric("given_back_total") == 1
            assert (plant.snapshot()["mode"], plant.snapshot()["pools"][0]["mode"]) == ("act", "recommend")
            given_back = len(plant.service.ledger.records("actuation"))
            full_w = plant.snapshot()["power"]["measured_w"]
            await curtail(plant, limit_w=1.85 * full_w, event_id="e2")
            await plant.until(lambda: plant.snapshot()["pools"][0]["recommended"])
            ticks = len(plant.service.ledger.records("decision"))
            await plant.until(lambda: len(plant.service.ledger.records("decision")) > ticks + 5)
            assert len(plant.service.ledger.records("actuation")) == given_back
            decided = plant.service.ledger.records("decision")[-1].payload
            assert {step["verb"] for step in decided["recommended"]} == {"sleep"}
            assert decided["commands"]["instances"] == []


async def test_an_observing_controller_leaves_alone_what_others_put_to_sleep(tmp_path: Path) -> None:
    async with running(tmp_path, second=InstanceState.SLEEPING, mode=Mode.OBSERVE) as plant:
        await plant.until(lambda: len(plant.service.ledger.records("decision")) > 5)
        assert plant.states()["bf16-1"] is InstanceState.SLEEPING
    assert plant.states()["bf16-1"] is InstanceState.SLEEPING
