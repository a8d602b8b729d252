"""A controller in a process of its own asks for less while a publisher's price is high; engines, GPUs and the publisher
are emulated."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from controller.evidence.read import read_event
from tests.fakes.http_stub import HttpStub, http_stub
from tests.fakes.system import System, laptop_on_free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("system"), pytest.mark.timeout(180)]
SOURCE = "threshold:price_usd_per_mwh"
CHEAP, DEAR = 40.0, 900.0
HOUR_S = 3600
WAIT_S = 60.0


class Publisher:
    """Tells a price for the hour that began, and for the ones after it."""

    def __init__(self, stub: HttpStub) -> None:
        self.hours = [CHEAP, CHEAP]
        self.is_silent = False
        stub.set("/prices", self._answer)
        self.url = f"{stub.url}/prices"

    async def _answer(self, _: web.Request) -> web.Response:
        if self.is_silent:
            return web.Response(status=503)
        began_s = int(time.time()) // HOUR_S * HOUR_S
        return web.json_response([{"t": began_s + n * HOUR_S, "p": value} for n, value in enumerate(self.hours)])


def follows(publisher: Publisher) -> Any:
    """Sections of a file that has a controller ask the publisher once a second."""
    feed = {"kind": "mapped", "url": publisher.url, "format": "json", "rows": "", "time": "t", "value": "p"}
    feed |= {"times": "unix_s", "unit": "USD/MWh", "currency": "USD", "refresh_s": 1, "step_s": HOUR_S}
    threshold = {"signal": "price_usd_per_mwh", "above": 500, "until_below": 300, "asks": {"at_most_w": 9000}}
    del feed["rows"]

    def change(document: dict[str, Any]) -> None:
        document["programmes"] = {"peaks": {"thresholds": [threshold], "hold_s": 5}}
        document["signals"]["price_usd_per_mwh"] = feed

    return change


async def test_a_high_price_limits_the_site_through_a_kill_and_a_silence_until_it_falls(tmp_path: Path) -> None:
    async with http_stub() as stub:
        publisher = Publisher(stub)
        system = System(tmp_path, laptop_on_free_ports(tmp_path, follows(publisher)))
        try:
            await asyncio.to_thread(system.start, "controller")
            await until(lambda: system.state()["price_usd_per_mwh"] == CHEAP, "the price", system)
            assert limit_w(system) is None
            publisher.hours = [CHEAP, DEAR]
            await until(lambda: [call["state"] for call in calls(system)] == ["pending"], "the peak ahead", system)
            publisher.hours = [DEAR, DEAR, CHEAP]
            await until(lambda: limit_w(system) == 9000.0, "the limit of the peak", system)
            publisher.is_silent = True
            system.kill("controller")
            await asyncio.to_thread(system.start, "controller")
            await until(lambda: limit_w(system) == 9000.0, "the limit after the kill, with a silent publisher", system)
            (call,) = calls(system)
            publisher.is_silent, publisher.hours = False, [CHEAP, CHEAP, CHEAP]
            await until(lambda: limit_w(system) is None, "no limit once the price has fallen", system)
            proof = read_event(next(tmp_path.rglob("evidence.sqlite")), call["call_id"])
            assert [(each.limit_w, each.source) for each in proof.events] == [(9000.0, SOURCE)]
            told = [json.loads(row.payload["raw"]) for row in proof.calls if row.payload.get("raw")]
            assert told[0]["above"] == 500.0
            assert DEAR in [value for _, value in told[0]["intervals"]]
        finally:
            for process in system.processes.values():
                process.kill()
                process.wait(10)


def calls(system: System) -> list[dict[str, Any]]:
    """The calls of thresholds that are not over."""
    told = system.state()["grid"]["calls"]
    return [call for call in told if call["source"] == SOURCE and call["state"] in ("pending", "active")]


def limit_w(system: System) -> float | None:
    """The limit that holds for a threshold; None where there is none."""
    limit = system.state()["grid"]["limit"]
    return limit["limit_w"] if limit is not None and limit["source"] == SOURCE else None


async def until(holds: Any, what: str, system: System) -> None:
    await asyncio.to_thread(system.until, holds, what, WAIT_S)
