"""GPU power by NVML as a source of the controller and of the node agent.

Calls of NVML take as long as the driver takes, which is forever where it hangs; so a thread of its own makes them, and
who reads gets the last snapshot at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from controller.clock import Clock
from controller.errors import ConfigError, NvmlError, NvmlFault, SignalError
from controller.model.observation import Missing, Reading
from controller.signals.power.nvml_gpu import Moment
from controller.signals.power.nvml_library import NvmlLibrary
from controller.signals.power.nvml_reader import NvmlReader, NvmlSnapshot
from controller.signals.power.source import Board

log = logging.getLogger(__name__)

LEAST_INTERVAL_S = 0.1
"""The counter itself moves no more often, and every poll wakes the driver."""
MOST_INTERVAL_S = 1.0
HANG_S = 5.0
"""Time without an answer after which the driver counts as hanging."""
_END_WAIT_S = 1.0


class NvmlSource:
    """Readings of every GPU of this machine, by UUID; a `GpuSource`."""

    def __init__(
        self, clock: Clock, library: NvmlLibrary | None = None, *, interval_s: float = 0.2, window_s: float = 1.9
    ) -> None:
        if not LEAST_INTERVAL_S <= interval_s <= MOST_INTERVAL_S:
            raise ConfigError(
                f"NVML is read every {LEAST_INTERVAL_S:g} to {MOST_INTERVAL_S:g} s, not every {interval_s:g} s"
            )
        self._clock = clock
        self._library = library or NvmlLibrary()
        self._reader = NvmlReader(self._library, window_s)
        self._interval_s = interval_s
        self._snapshot = NvmlSnapshot(self._now(), faults=(NvmlError(NvmlFault.OTHER, "NVML was not read yet"),))
        self._ended = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def on_poll(self, listener: Callable[[], None]) -> None:
        """Have a function called in the thread after each poll; to be given before `start`."""
        self._listeners.append(listener)

    def close(self) -> None:
        """End the thread; one that hangs in the driver is left behind, and ends with the process."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(_END_WAIT_S)

    def latest(self) -> NvmlSnapshot:
        """The last snapshot; while the driver hangs, every GPU in it is missing. Before the first one, a fault."""
        snapshot, now = self._snapshot, self._now()
        silent_s = now.monotonic_s - snapshot.at.monotonic_s
        if silent_s < HANG_S + self._interval_s:
            return snapshot
        fault = NvmlError(
            NvmlFault.OTHER, f"NVML has not answered for {silent_s:.0f} s: {self._library.doing or 'its thread'} hangs"
        )
        gpus = tuple(replace(gpu, reading=Missing("nvml", fault.reason, snapshot.at.wall_s)) for gpu in snapshot.gpus)
        return replace(snapshot, gpus=gpus, faults=(fault, *snapshot.faults))

    async def read(self, now_s: float) -> tuple[dict[str, Reading | Missing], tuple[SignalError, ...]]:
        """Readings by UUID, and why NVML or a GPU could not be read."""
        snapshot = self.latest()
        return {gpu.uuid: gpu.reading for gpu in snapshot.gpus}, snapshot.faults

    def boards(self) -> dict[str, Board]:
        """What the GPUs are, by UUID."""
        snapshot = self._snapshot
        return {gpu.uuid: Board(gpu.name, snapshot.driver) for gpu in snapshot.gpus if gpu.name}

    def _now(self) -> Moment:
        return Moment(self._clock.wall_s(), self._clock.monotonic_s())

    def _run(self) -> None:
        while not self._ended.is_set():
            at = self._now()
            try:
                self._snapshot = self._reader.poll(self._now)
            except Exception as error:  # the thread must outlive a fault of its own, which is told as a state
                log.exception("NVML was not read")
                fault = NvmlError(NvmlFault.OTHER, f"{type(error).__name__}: {error}")
                self._snapshot = NvmlSnapshot(at, faults=(fault,))
            for listener in self._listeners:
                listener()
            self._ended.wait(max(0.0, at.monotonic_s + self._interval_s - self._clock.monotonic_s()))
        self._reader.close()
