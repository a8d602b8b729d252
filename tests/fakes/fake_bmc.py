"""A management controller with a Redfish service: resources that a test sets, behind Basic or session tokens."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

USER, PASSWORD, TOKEN = "meter", "s3cret", "0123456789abcdef"
ENVIRONMENT = "/redfish/v1/Chassis/1/EnvironmentMetrics"
POWER = "/redfish/v1/Chassis/1/Power"
SENSOR = "/redfish/v1/Chassis/1/Sensors/TotalPower"


def environment(reading: Any, **more: Any) -> dict[str, Any]:
    """`EnvironmentMetrics` of a chassis."""
    excerpt = {"DataSourceUri": SENSOR, "Reading": reading}
    return {"@odata.type": "#EnvironmentMetrics.v1_0_0.EnvironmentMetrics", "PowerWatts": excerpt, **more}


def sensor(reading: Any, units: Any = "W", **status: str) -> dict[str, Any]:
    """A `Sensor`."""
    enabled = {"State": "Enabled", "Health": "OK", **status}
    return {"@odata.type": "#Sensor.v1_2_0.Sensor", "Reading": reading, "ReadingUnits": units, "Status": enabled}


def power(reading: Any, **first: Any) -> dict[str, Any]:
    """`Power` of a chassis, as machines of before 2020 have it: the whole first, parts of it behind."""
    control = {"MemberId": "0", "PowerConsumedWatts": reading, **first}
    parts = {"MemberId": "1", "PowerConsumedWatts": 90}
    return {"@odata.type": "#Power.v1_7_0.Power", "PowerControl": [control, parts]}


class FakeBmc:
    """Answers GET of `resources` to who is let in.

    Attributes:
        resources: by path: something JSON, a text sent as it is, or a status.
        hangs: whether requests get no answer.
        requests: paths that were asked for, those refused included.
        at_once: most requests that were under way together.
    """

    def __init__(self, resources: dict[str, Any] | None = None) -> None:
        self.resources = resources or {}
        self.hangs = False
        self.requests: list[str] = []
        self.at_once = 0
        self.url = ""
        self._under_way = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        try:
            await asyncio.sleep(30 if self.hangs else 0)
            return self._answer(request)
        finally:
            self._under_way -= 1

    def _answer(self, request: web.Request) -> web.StreamResponse:
        if not _is_let_in(request):
            return web.json_response({"error": {"code": "Base.1.8.NoValidSession"}}, status=401)
        answer = self.resources.get(request.path, 404)
        if isinstance(answer, int):
            return web.Response(status=answer, headers={"Location": "/login"} if 300 <= answer < 400 else {})
        if isinstance(answer, str):
            return web.Response(text=answer, content_type="application/json")
        return web.json_response(answer)


def _is_let_in(request: web.Request) -> bool:
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return request.headers.get("Authorization") == basic or request.headers.get("X-Auth-Token") == TOKEN


@contextlib.asynccontextmanager
async def running_bmc(
    resources: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[FakeBmc]:
    """One on a port of its own, over HTTPS where there is a certificate."""
    bmc = FakeBmc(resources)
    app = web.Application()
    app.router.add_get("/{path:.*}", bmc.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    bmc.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield bmc
    finally:
        await runner.cleanup()
