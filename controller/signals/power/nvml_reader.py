"""All GPUs of this machine by NVML: opens the library, asks every GPU, and opens it again after the driver was gone."""

from __future__ import annotations

import logging
import math
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Missing, Reading
from controller.signals.power.nvml_gpu import GpuMeter, Method, Moment, PowerCalls
from controller.signals.power.nvml_library import Devices

log = logging.getLogger(__name__)

FIRST_RETRY_S = 1.0
MOST_RETRY_S = 10.0
"""While nothing can be read."""
MOST_SEARCH_S = 600.0
"""While a GPU is lost: it rarely comes back without a reboot, and looking for it interrupts the others for as long as
the driver needs to find out."""
MAX_GPUS = 64
"""GPUs that are remembered, those gone included."""


class Library(PowerCalls, Protocol):
    """NVML; `NvmlLibrary` is it."""

    def open(self) -> str:
        """Initialise; returns the driver's version."""

    def close(self) -> None:
        """Let go of the driver."""

    def devices(self) -> Devices:
        """The GPUs."""


@dataclass(frozen=True, slots=True)
class GpuState:
    """A GPU after a poll; `method` is how its power is measured."""

    uuid: str
    name: str
    method: Method
    reading: Reading | Missing


@dataclass(frozen=True, slots=True)
class NvmlSnapshot:
    """What one poll of all GPUs gave.

    Attributes:
        at: when the poll began.
        driver: version of the driver, None while the library is not open.
        faults: why NVML as a whole, or a GPU that did not tell its UUID, could not be read.
        needs_restart: only a new process can read NVML again.
        events: how often the unusual happened since the start: those of `CounterEvent`, and step_down, reopen, lost.
    """

    at: Moment
    driver: str | None = None
    gpus: tuple[GpuState, ...] = ()
    faults: tuple[NvmlError, ...] = ()
    needs_restart: bool = False
    events: Mapping[str, int] = field(default_factory=dict)


class NvmlReader:
    """Polls NVML; every fault becomes a state of the snapshot. Not for an event loop: calls block."""

    def __init__(self, library: Library, window_s: float = 1.9) -> None:
        self._library = library
        self._window_s = window_s
        self._meters: dict[str, GpuMeter] = {}
        self._gone: dict[str, NvmlError] = {}
        self._unnamed: tuple[NvmlError, ...] = ()
        self._fault: NvmlError | None = None
        self._driver: str | None = None
        self._is_open = False
        self._retry_at_s: float | None = -math.inf
        """When to open the library, again if it is open; None while all is well."""
        self._retry_s = FIRST_RETRY_S
        self._events: Tally[str] = Tally()

    def poll(self, now: Callable[[], Moment]) -> NvmlSnapshot:
        """Ask every GPU once; each is dated by itself, as the driver may take its time."""
        at = now()
        if self._retry_at_s is not None and at.monotonic_s >= self._retry_at_s:
            self._open(at)
        gpus = tuple(
            GpuState(uuid, meter.device.name, meter.method, self._poll_gpu(meter, now()))
            for uuid, meter in self._meters.items()
        )
        return NvmlSnapshot(
            at=at,
            driver=self._driver if self._is_open else None,
            gpus=gpus,
            faults=self._unnamed if self._fault is None else (self._fault, *self._unnamed),
            needs_restart=self._fault is not None and self._fault.fault is NvmlFault.MISMATCH,
            events=dict(self._events),
        )

    def close(self) -> None:
        """Let go of the driver."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            self._library.close()
        except NvmlError as error:
            log.warning("NVML did not close", extra={"reason": error.reason})

    def _open(self, at: Moment) -> None:
        was_open = self._driver is not None
        self.close()
        try:
            self._driver = self._library.open()
            self._is_open = True
            devices = self._library.devices()
        except NvmlError as error:
            self._fail(error, at)
            return
        self._events["reopen"] += was_open
        if self._fault is not None or not was_open:
            log.info("NVML is open", extra={"driver": self._driver, "gpus": len(devices.found)})
        self._renew(devices, driver_is_new=self._fault is not None)
        self._fault, self._unnamed = None, devices.faults
        if self._gone or self._unnamed:
            self._retry_later(at, MOST_SEARCH_S)
        else:
            self._retry_at_s, self._retry_s = None, FIRST_RETRY_S

    def _renew(self, devices: Devices, *, driver_is_new: bool) -> None:
        for device in devices.found:
            if device.uuid in self._meters:
                self._meters[device.uuid].renew(device, driver_is_new=driver_is_new)
            elif len(self._meters) < MAX_GPUS:
                self._meters[device.uuid] = GpuMeter(device, self._window_s, self._events)
        shown = {device.uuid for device in devices.found}
        self._gone = {
            uuid: self._gone.get(uuid) or NvmlError(NvmlFault.LOST, f"{uuid}: NVML does not show this GPU any more")
            for uuid in self._meters
            if uuid not in shown
        }

    def _poll_gpu(self, meter: GpuMeter, at: Moment) -> Reading | Missing:
        uuid = meter.device.uuid
        fault = self._fault or self._gone.get(uuid)
        if fault is not None:
            return meter.lose(fault, at)
        try:
            return meter.poll(self._library, at)
        except NvmlError as error:
            if error.fault is NvmlFault.LOST:
                self._gone[uuid] = error
                self._events["lost"] += 1
                log.error("a GPU is lost", extra={"gpu": uuid, "reason": error.reason})
                self._retry_later(at, MOST_SEARCH_S)
            else:
                self._fail(error, at)
            return meter.lose(error, at)

    def _fail(self, error: NvmlError, at: Moment) -> None:
        if self._fault is None or self._fault.reason != error.reason:
            log.error("NVML cannot be read", extra={"reason": error.reason})
        self._fault = error
        self.close()
        self._retry_later(at, MOST_RETRY_S)

    def _retry_later(self, at: Moment, most_s: float) -> None:
        self._retry_at_s = at.monotonic_s + self._retry_s
        self._retry_s = min(2 * self._retry_s, most_s)
