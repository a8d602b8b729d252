"""An emulated meter of a site, which a real prometheus scrapes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from controller.signals.prometheus_text import parse
from tests.fakes.http_stub import http_stub

PUE = 1.2


class SiteMeter:
    """Tells what the emulated GPUs draw, at the metering point.

    Attributes:
        emulator: address whose counters it looks at.
        factor: what it tells of the true draw.
        says: what it tells instead; None for nothing.
    """

    def __init__(self, emulator: str = "") -> None:
        self.emulator = emulator
        self.factor = 1.0
        self.says: str | None = None

    async def metrics(self, _: web.Request) -> web.Response:
        if self.says is not None:
            return web.Response(text=f"site_meter_watts {self.says}\n")
        async with aiohttp.ClientSession() as session, session.get(f"{self.emulator}/metrics") as answer:
            text = await answer.text()
        gpus_w = sum(sample.value for sample in parse(text, {"DCGM_FI_DEV_POWER_USAGE"}))
        return web.Response(text=f"site_meter_watts {self.factor * PUE * gpus_w}\n")


@contextlib.asynccontextmanager
async def served(meter: SiteMeter) -> AsyncIterator[str]:
    """The address at which the meter is scraped."""
    async with http_stub() as stub:
        stub.set("/metrics", meter.metrics)
        yield f"{stub.url}/metrics"
