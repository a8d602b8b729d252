"""A controller in a process of its own follows a VTN over HTTP; the VTN, engines and GPUs are emulated."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from controller.evidence.read import read_event
from tests.fakes.system import System, laptop_on_free_ports
from tests.fakes.vtn.section import openadr_section
from tests.fakes.vtn.server import FakeVtn, fake_vtn, interval

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]
NOW = {"start": "0001-01-01", "duration": "PT1H"}
WAIT_S = 60.0


def follows(vtn: FakeVtn, folder: Path) -> Any:
    """Sections of a file that has a controller follow the VTN once a second."""
    openadr = openadr_section(vtn.url, folder)

    def change(document: dict[str, Any]) -> None:
        document["programmes"] = {"dr": {"default_limit_w": 5000, "hold_s": 5, "levels": {1: {"at_most_w": 9000}}}}
        document["openadr"] = openadr
        document["signals"]["price_usd_per_mwh"] = {"kind": "openadr", "vtn": "utility"}

    return change


async def test_events_of_a_vtn_reach_the_plan_and_survive_a_killed_controller(tmp_path: Path) -> None:
    async with fake_vtn() as vtn:
        program = vtn.add_program(payloadDescriptors=[{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}])
        vtn.add_event(program, interval(0, "PRICE", 0.25, **NOW))
        system = System(tmp_path, laptop_on_free_ports(tmp_path, follows(vtn, tmp_path)))
        try:
            await asyncio.to_thread(system.start, "controller")
            await until(lambda: price(system) == 250.0, "the price of the event", system)
            event = vtn.add_event(program, interval(0, "SIMPLE", 1, **NOW))
            await until(lambda: limit_w(system) == 9000.0, "the limit of the event", system)
            assert [ven["venName"] for ven in vtn.store.kinds["vens"].values()] == ["site-1"]
            system.kill("controller")
            vtn.forget_tokens()
            vtn.fail("GET /events", 500)
            await asyncio.to_thread(system.start, "controller")
            await until(lambda: limit_w(system) == 9000.0, "the limit after the kill, with the VTN down", system)
            vtn.mend()
            vtn.delete_event(event)
            await until(lambda: limit_w(system) is None, "no limit", system)
            proof = read_event(next(tmp_path.rglob("evidence.sqlite")), event)
            assert [(each.limit_w, each.source) for each in proof.events] == [(9000.0, "openadr:utility")]
            assert proof.call is not None
            assert proof.call.cancelled_s == pytest.approx(proof.end_s)
            vtn.fail("/", 503)
            await until(lambda: limit_w(system) == 5000.0, "the default limit of a lost VTN", system)
        finally:
            for process in system.processes.values():
                process.kill()
                process.wait(10)


async def test_reports_are_neither_lost_nor_doubled_by_a_killed_controller_and_a_vtn_that_fails(tmp_path: Path) -> None:
    async with fake_vtn() as vtn:
        program = vtn.add_program()
        system = System(tmp_path, laptop_on_free_ports(tmp_path, follows(vtn, tmp_path)))
        each = {"payloadType": "DEMAND", "startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1}
        short = {"start": "0001-01-01", "duration": "PT4S"}
        steps = [interval(n, "SIMPLE", 1) for n in range(10)]
        try:
            await asyncio.to_thread(system.start, "controller")
            await until(lambda: vtn.store.kinds["vens"], "the VEN", system)
            added_s = asyncio.get_running_loop().time()
            vtn.add_event(program, *steps, intervalPeriod=short, reportDescriptors=[each])
            await until(lambda: "OPERATING_STATE-now" in names(vtn), "the acknowledgement", system)
            assert asyncio.get_running_loop().time() - added_s < 60.0  # R8
            await until(lambda: "DEMAND-0-0" in names(vtn), "the first report", system)
            vtn.fail("POST /reports", 503)
            await asyncio.sleep(5.0)
            system.kill("controller")
            await asyncio.to_thread(system.start, "controller")
            vtn.mend()
            asked = {f"DEMAND-0-{n}" for n in range(10)}
            await until(lambda: asked <= set(names(vtn)), "all reports", system)
            assert sorted(names(vtn)) == sorted(asked | {"OPERATING_STATE-now"})
            assert all(is_emulated(report) for report in vtn.reports())
        finally:
            for process in system.processes.values():
                process.kill()
                process.wait(10)


def names(vtn: FakeVtn) -> list[str]:
    return [report["reportName"] for report in vtn.reports()]


def is_emulated(report: Any) -> bool:
    """Whether no value of a report passes for a measurement: the power of this system is emulated."""
    told = [payload for entry in report["resources"][0]["intervals"] for payload in entry["payloads"]]
    qualities = {value for payload in told if payload["type"] == "DATA_QUALITY" for value in payload["values"]}
    return report["reportName"].startswith("OPERATING_STATE") or qualities <= {"BAD", "MISSING"}


def price(system: System) -> Any:
    return system.state()["price_usd_per_mwh"]


def limit_w(system: System) -> float | None:
    """The limit that holds for the VTN; None where there is none."""
    limit = system.state()["grid"]["limit"]
    return limit["limit_w"] if limit is not None and limit["source"] == "openadr:utility" else None


async def until(holds: Any, what: str, system: System) -> None:
    await asyncio.to_thread(system.until, holds, what, WAIT_S)
