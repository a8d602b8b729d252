"""One emulated instance behind its port: an engine, its HTTP server and its power meter.

An instance that is off or starting does not listen, as its process would not.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from random import Random

from controller.clock import Clock
from controller.errors import ListenError
from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation import fleet_power
from controller.simulation.fleet_power import GpuReading, PowerMeter, Sample
from controller.simulation.vllm_api import ApiOptions, VllmApi
from controller.simulation.vllm_engine import EmulatedEngine, EngineSpec
from controller.simulation.vllm_http import HttpServer
from controller.simulation.vllm_request import ServedModel

MODEL_CONTEXT_TOKENS = 262_144
"""Longest context of Qwen3-235B-A22B-Instruct-2507."""
BACKLOG = 2048
_SILENT = (InstanceState.OFF, InstanceState.STARTING)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EmulatedInstance:
    """One instance to emulate.

    Attributes:
        port: 0 lets the system choose; see `ServedInstance.port`.
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


class ServedInstance:
    """One instance at work.

    Attributes:
        engine: what answers.
        port: where it listens, or will.
        meter: of its power.
    """

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
            raise listen_error(host, self.port, error) from error
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


def listen_error(host: str, port: int, error: OSError) -> ListenError:
    """What to tell of a port that could not be opened."""
    return ListenError(host, port, os.strerror(error.errno) if error.errno else str(error))
