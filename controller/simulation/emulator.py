"""The emulator process: engines on their ports, and a control port with GPU metrics and the instances' switches.

Control port: `GET /metrics` (as dcgm-exporter), `GET /instances`, `POST /instances/{id}/start`,
`POST /instances/{id}/stop`, `POST /instances/{id}/break` (greedy answers become nonsense), `POST /instances/{id}/mend`,
`GET /healthz`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiohttp import web

from controller.clock import Clock, SystemClock
from controller.simulation import dcgm, fleet_power
from controller.simulation.emulated_instance import EmulatedInstance, ServedInstance, listen_error
from controller.simulation.vllm_engine import EmulatedEngine

SAMPLE_S = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpareGpus:
    """GPUs of the site that no instance occupies."""

    count: int = 0
    gpu_w: float = 0.0


class Emulator:
    """What `run_emulator` gives back.

    Attributes:
        control_port: port of the control interface.
    """

    def __init__(self, instances: tuple[ServedInstance, ...], spare: SpareGpus) -> None:
        self._instances = {running.instance.instance_id: running for running in instances}
        self._spare = spare
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._sampler: asyncio.TimerHandle | None = None
        self._runner: web.AppRunner | None = None
        self.control_port = 0

    @property
    def ports(self) -> dict[str, int]:
        """Port of each instance by its id."""
        return {instance_id: running.port for instance_id, running in self._instances.items()}

    def engine(self, instance_id: str) -> EmulatedEngine:
        """The engine of an instance."""
        return self._instances[instance_id].engine

    async def close(self) -> None:
        """Stop listening and drop all connections."""
        if self._sampler is not None:
            self._sampler.cancel()
        for running in self._instances.values():
            running.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def open(self, control_host: str, control_port: int) -> None:
        """Listen on all ports.

        Raises:
            ListenError: a port is taken.
        """
        for running in self._instances.values():
            await running.open()
        app = web.Application()
        app.on_response_prepare.append(_mark_emulated)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/instances", self._list)
        app.router.add_post("/instances/{instance_id}/start", self._start)
        app.router.add_post("/instances/{instance_id}/stop", self._stop)
        app.router.add_post("/instances/{instance_id}/break", self._break)
        app.router.add_post("/instances/{instance_id}/mend", self._mend)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, control_host, control_port).start()
        except OSError as error:
            raise listen_error(control_host, control_port, error) from error
        self.control_port = self._runner.addresses[0][1]
        self._sample()
        log.info("emulator listens", extra={"control_port": self.control_port, "instances": self.ports})

    def _sample(self) -> None:
        for running in self._instances.values():
            running.meter.add(running.sample())
        self._sampler = self._loop.call_later(SAMPLE_S, self._sample)

    async def _metrics(self, request: web.Request) -> web.Response:
        gpus = [gpu for running in self._instances.values() for gpu in running.gpus()]
        uuids = tuple(f"GPU-emulated-spare-{n}" for n in range(self._spare.count))
        passed_s = self._loop.time() - self._began_s
        gpus += fleet_power.spare(uuids, gpu_w=self._spare.gpu_w, passed_s=passed_s)
        return web.Response(text=dcgm.render(tuple(gpus)), headers={"Content-Type": dcgm.CONTENT_TYPE})

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response([running.report() for running in self._instances.values()])

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "emulated": True})

    async def _start(self, request: web.Request) -> web.Response:
        running = self._find(request)
        running.engine.start()
        return web.json_response(running.report())

    async def _stop(self, request: web.Request) -> web.Response:
        running = self._find(request)
        running.engine.stop()
        return web.json_response(running.report())

    async def _break(self, request: web.Request) -> web.Response:
        running = self._find(request)
        running.engine.break_answers(broken=True)
        return web.json_response(running.report())

    async def _mend(self, request: web.Request) -> web.Response:
        running = self._find(request)
        running.engine.break_answers(broken=False)
        return web.json_response(running.report())

    def _find(self, request: web.Request) -> ServedInstance:
        instance_id = request.match_info["instance_id"]
        running = self._instances.get(instance_id)
        if running is None:
            text = f"no instance {instance_id!r} is emulated; there are {', '.join(self._instances)}\n"
            raise web.HTTPNotFound(text=text)
        return running


async def run_emulator(
    instances: tuple[EmulatedInstance, ...],
    *,
    control_host: str,
    control_port: int,
    model: str,
    seed: int = 0,
    spare: SpareGpus | None = None,
    clock: Clock | None = None,
) -> Emulator:
    """Start the emulator on the running event loop.

    Raises:
        ListenError: a port is taken; nothing is left listening.
    """
    clock = clock or SystemClock()
    running = tuple(ServedInstance(instance, model, seed, clock) for instance in instances)
    emulator = Emulator(running, spare or SpareGpus())
    try:
        await emulator.open(control_host, control_port)
    except BaseException:
        await emulator.close()
        raise
    return emulator


async def _mark_emulated(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-wattroute-emulated"] = "1"
