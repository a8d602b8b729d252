"""The emulator process: engines on their ports, and a control port with GPU metrics and the instances' switches.

Control port: `GET /metrics` (as dcgm-exporter), `GET /instances`, `POST /instances/{id}/start`,
`POST /instances/{id}/stop`, `POST /instances/{id}/break` (greedy answers become nonsense), `POST /instances/{id}/mend`,
`GET /healthz`. An instance that is off or starting does not listen, as its process
would not.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from random import Random

from aiohttp import web

from controller.clock import Clock, SystemClock
from controller.errors import ListenError
from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation import dcgm, fleet_power
from controller.simulation.fleet_power import GpuReading, PowerMeter, Sample
from controller.simulation.vllm_api import ApiOptions, VllmApi
from controller.simulation.vllm_engine import EmulatedEngine, EngineSpec
from controller.simulation.vllm_http import HttpServer
from controller.simulation.vllm_request import ServedModel

SAMPLE_S = 0.2
MODEL_CONTEXT_TOKENS = 262_144
"""Longest context of Qwen3-235B-A22B-Instruct-2507."""
BACKLOG = 2048
_SILENT = (InstanceState.OFF, InstanceState.STARTING)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmulatedInstance:
    """One instance to emulate.

    Attributes:
        port: 0 lets the system choose; see `Emulator.ports`.
        state: at the start; serving, sleeping or off.
        disagreement_frac: share of greedy answers that part from those of the best precision.
    """

    instance_id: str
    host: str
    port: int
    curves: PoolCurves
    precision: str
    gpu_uuids: tuple[str, ...]
    state: InstanceState = InstanceState.SERVING
    options: ApiOptions = field(default_factory=ApiOptions)
    disagreement_frac: float = 0.0


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

    def __init__(self, instances: tuple[_Running, ...], spare: SpareGpus) -> None:
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
            raise _listen_error(control_host, control_port, error) from error
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

    def _find(self, request: web.Request) -> _Running:
        instance_id = request.match_info["instance_id"]
        running = self._instances.get(instance_id)
        if running is None:
            text = f"no instance {instance_id!r} is emulated; there are {', '.join(self._instances)}\n"
            raise web.HTTPNotFound(text=text)
        return running


class _Running:
    """One instance at work: its engine, its port, its power meter."""

    def __init__(self, instance: EmulatedInstance, model: str, seed: int, clock: Clock) -> None:
        rng = Random(f"{seed}/{instance.instance_id}")
        context_tokens = min(MODEL_CONTEXT_TOKENS, instance.curves.kv_capacity_tokens)
        served = ServedModel(model, f"{model}@{instance.precision}", context_tokens)
        spec = EngineSpec(
            curves=instance.curves,
            served=served,
            precision=instance.precision,
            state=instance.state,
            disagreement_frac=instance.disagreement_frac,
            gpus=len(instance.gpu_uuids),
        )
        self.instance = instance
        self.port = instance.port
        self.engine = EmulatedEngine(spec, rng=rng, clock=clock)
        self.engine.on_state = self._follow_state
        self._api = VllmApi(self.engine, instance.options, rng=rng, clock=clock)
        self._http = HttpServer(self._api.handle, clock)
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self.meter = PowerMeter(self.sample())

    def sample(self) -> Sample:
        """The instance's counters now."""
        now_s = self.engine.sync()
        return Sample(now_s, self.engine.physics.energy_j, self.engine.physics.busy_s)

    def power(self) -> tuple[Sample, float, float]:
        """Counters now, power in W and busy share averaged over the last second."""
        now = self.sample()
        average = self.meter.average(now)
        power_w, util_frac = (self.engine.physics.power_w(now.at_s), 0.0) if average is None else average
        return now, power_w, util_frac

    def gpus(self) -> tuple[GpuReading, ...]:
        """Readings of the instance's GPUs."""
        now, power_w, util_frac = self.power()
        return fleet_power.split(
            self.instance.gpu_uuids,
            power_w=power_w,
            energy_j=now.energy_j,
            util_frac=util_frac,
            state=self.engine.state,
        )

    def report(self) -> dict[str, object]:
        """The instance as listed on the control port."""
        now, power_w, _ = self.power()
        return {
            "instance_id": self.instance.instance_id,
            "state": self.engine.state.value,
            "running": self.engine.physics.running,
            "waiting": self.engine.physics.waiting,
            "power_w": power_w,
            "energy_j": now.energy_j,
            "since_s": self.engine.since_wall_s,
            "precision": self.instance.precision,
            "port": self.port,
            "broken": self.engine.is_broken,
            "emulated": True,
        }

    async def open(self) -> None:
        """Listen, unless the instance is off.

        Raises:
            ListenError: the port is taken.
        """
        if self.engine.state in _SILENT or self._server is not None:
            return
        loop = asyncio.get_running_loop()
        host = self.instance.host
        try:
            self._server = await loop.create_server(self._http.connection, host, self.port, backlog=BACKLOG)
        except OSError as error:
            raise _listen_error(host, self.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Give the port back and drop the connections."""
        self.engine.on_state = None
        self.engine.close()
        self._api.close()
        if self._opening is not None:
            self._opening.cancel()
        self._go_silent()

    def _follow_state(self) -> None:
        state = self.engine.state
        extra = {"instance_id": self.instance.instance_id, "state": state.value}
        log.info("emulated instance changed state", extra=extra)
        if state in _SILENT:
            self._go_silent()
        elif self._server is None:
            self._opening = asyncio.get_running_loop().create_task(self._open_again())

    def _go_silent(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._http.abort()

    async def _open_again(self) -> None:
        try:
            await self.open()
        except ListenError as error:
            log.error("emulated instance stopped", extra={"reason": str(error)})
            self.engine.stop()


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
    running = tuple(_Running(instance, model, seed, clock) for instance in instances)
    emulator = Emulator(running, spare or SpareGpus())
    try:
        await emulator.open(control_host, control_port)
    except BaseException:
        await emulator.close()
        raise
    return emulator


async def _mark_emulated(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["x-wattroute-emulated"] = "1"


def _listen_error(host: str, port: int, error: OSError) -> ListenError:
    return ListenError(host, port, os.strerror(error.errno) if error.errno else str(error))
