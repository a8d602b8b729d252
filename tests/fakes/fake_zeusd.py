"""A zeusd, as its HTTP API is documented: https://ml.energy/zeus/zeusd/api/."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from tests.fakes.fake_sse import FakeSse


class FakeZeusd:
    """GPUs by index, with what each draws and, where it has a counter, what it has used."""

    def __init__(self, watts: dict[int, float], *, token: str | None = None, has_counter: bool = True) -> None:
        self.watts = watts
        self.token = token
        self.has_counter = has_counter
        self.energy_mj = dict.fromkeys(watts, 0)
        self.failing: dict[int, int] = {}
        """Status that a GPU's counter is refused with, by index: 400 has none, 500 is lost."""
        self.stream = FakeSse()
        self.limits_mw: dict[int, int] = dict.fromkeys(watts, 700_000)
        self.locked_mhz: dict[int, int] = {}
        self.range_mw = (200_000, 700_000)
        self.changes: list[str] = []
        """What was asked for, in order."""
        self.refusal: int | None = None
        """Status that every change is refused with."""
        self.is_deaf = False
        """Whether changes are taken and have no effect."""

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/gpu/get_power", self._power)
        app.router.add_get("/gpu/get_cumulative_energy", self._energy)
        app.router.add_get("/gpu/stream_power", self.stream.answer)
        app.router.add_get("/gpu/get_power_limit", self._limits)
        app.router.add_post("/gpu/set_power_limit", self._set_limit)
        app.router.add_post("/gpu/set_gpu_locked_clocks", self._lock)
        app.router.add_post("/gpu/reset_gpu_locked_clocks", self._release)
        return app

    def tell(self, index: int, watts: float) -> None:
        """An event of the stream, which tells one GPU."""
        event = {"timestamp_ms": int(time.time() * 1e3), "gpu_id": index, "power_mw": int(watts * 1e3)}
        self.stream.send(f"data: {json.dumps(event)}\n\n".encode())

    def tell_all(self) -> None:
        """An event that tells all GPUs at once, as older versions send."""
        self.stream.send(f"data: {json.dumps(self._snapshot())}\n\n".encode())

    def _snapshot(self) -> dict:
        milliwatts = {str(index): int(watts * 1e3) for index, watts in self.watts.items()}
        return {"timestamp_ms": int(time.time() * 1e3), "power_mw": milliwatts}

    @web.middleware
    async def _guard(self, request, handler):
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "Authentication required."}, status=401)
        return await handler(request)

    async def _power(self, _: web.Request) -> web.Response:
        return web.json_response(self._snapshot())

    async def _energy(self, request: web.Request) -> web.Response:
        named = request.query.get("gpu_ids")
        wanted = list(self.energy_mj) if named is None else [int(index) for index in named.split(",")]
        failing = self.failing if self.has_counter else dict.fromkeys(self.watts, 400)
        if failed := {index: failing[index] for index in wanted if index in failing}:
            errors = {
                str(index): "no trustworthy counter" if status == 400 else "NVML" for index, status in failed.items()
            }
            return web.json_response({"errors": errors}, status=max(failed.values()))
        return web.json_response({str(index): {"energy_mj": self.energy_mj[index]} for index in wanted})

    async def _limits(self, request: web.Request) -> web.Response:
        index = int(request.query["gpu_ids"])
        return web.json_response({str(index): {"power_limit_mw": self.limits_mw[index]}})

    async def _set_limit(self, request: web.Request) -> web.Response:
        index, asked_mw = self._change(request), int(request.query["power_limit_mw"])
        if self.refusal is not None:
            return web.json_response({"error": "refused"}, status=self.refusal)
        if not self.range_mw[0] <= asked_mw <= self.range_mw[1]:
            return web.json_response({"errors": {str(index): "Invalid argument"}}, status=400)
        if not self.is_deaf:
            self.limits_mw[index] = asked_mw
        return web.Response()

    async def _lock(self, request: web.Request) -> web.Response:
        self.locked_mhz[self._change(request)] = int(request.query["max_clock_mhz"])
        assert request.query["min_clock_mhz"] == "0"
        return web.Response()

    async def _release(self, request: web.Request) -> web.Response:
        self.locked_mhz.pop(self._change(request), None)
        return web.Response()

    def _change(self, request: web.Request) -> int:
        assert request.query["block"] == "true"
        self.changes.append(request.path.rpartition("/")[2])
        return int(request.query["gpu_ids"])


@contextlib.asynccontextmanager
async def on_a_socket(zeusd: FakeZeusd, path: Path) -> AsyncIterator[str]:
    """Serve at a Unix socket, as zeusd does by default; gives its address."""
    runner = web.AppRunner(zeusd.app(), shutdown_timeout=0.2)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield f"unix:{path}"
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)
