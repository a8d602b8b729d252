"""Power and energy of one GPU by the best way that its driver has."""

from __future__ import annotations

import logging
from collections import Counter as Tally
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.errors import NvmlError, NvmlFault
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.energy_counter import (
    CounterOptions,
    CounterReading,
    EnergyCounter,
    power_bound_w,
)
from controller.signals.power.nvml_integral import PowerIntegral
from controller.signals.power.nvml_library import Device

log = logging.getLogger(__name__)

STILL_S = 5.0
"""Time after which a counter that stands still while the GPU draws power is not believed any more."""
_QUIET_W = 1.0
_STEPS_DOWN = (NvmlFault.UNSUPPORTED, NvmlFault.PERMISSION)


class Method(StrEnum):
    """How power is measured, best first."""

    ENERGY_COUNTER = "energy counter"
    """Differences of the total energy; nothing between two polls is missed."""
    INSTANT_POWER = "instant power"
    """Power at the moment of each poll, integrated."""
    POWER_USAGE = "power usage"
    """What nvidia-smi shows, integrated: a mean over a second on most GPUs. Never the module's."""


METHODS = tuple(Method)


class PowerCalls(Protocol):
    """What is asked of a GPU; `NvmlLibrary` does."""

    def energy_j(self, device: Device) -> float:
        """Energy counter."""

    def instant_power_w(self, device: Device) -> float:
        """Power at this moment."""

    def power_w(self, device: Device) -> float:
        """Power as nvidia-smi shows it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on two clocks: durations are measured on the monotonic one, readings are dated by the wall's."""

    wall_s: float
    monotonic_s: float


class GpuMeter:
    """Follows one GPU from poll to poll, also over a driver that is loaded again."""

    def __init__(self, device: Device, window_s: float, events: Tally[str]) -> None:
        self.device = device
        self._window_s = window_s
        self._events = events
        self._energy_j: float | None = None
        self._missing: Missing | None = None
        self._offset_j: float | None = None
        """What the method's own energy lacks to go on from the energy told before; None until its first point."""
        self._still_since_s: float | None = None
        """First poll that found the counter where it was before; a time without polls says nothing."""
        self._use(Method.ENERGY_COUNTER)

    @property
    def method(self) -> Method:
        """The way of measuring in use."""
        return self._method

    @property
    def source(self) -> str:
        """What a reading says of its origin."""
        is_module = self.device.is_module and self._method is not Method.POWER_USAGE
        return f"nvml {self._method.value}{' of the module' if is_module else ''}"

    def renew(self, device: Device, *, driver_is_new: bool) -> None:
        """Take the handle of a library that was opened again; a driver that was loaded again may have a better way."""
        self.device = device
        if driver_is_new and self._method is not Method.ENERGY_COUNTER:
            self._use(Method.ENERGY_COUNTER)

    def lose(self, error: NvmlError, at: Moment) -> Missing:
        """What is said of the GPU while it cannot be asked; it says since when."""
        since_s = at.wall_s if self._missing is None else self._missing.since_s
        self._missing = Missing("nvml", error.reason, since_s)
        return self._missing

    def poll(self, library: PowerCalls, at: Moment) -> Reading | Missing:
        """Ask the GPU once.

        Raises:
            NvmlError: the driver, the library or the GPU is gone.
        """
        try:
            counted = self._counted(library, at)
            reading = self._reading(library, counted, at)
        except NvmlError as error:
            if error.fault in (NvmlFault.DRIVER, NvmlFault.MISMATCH, NvmlFault.LIBRARY, NvmlFault.LOST):
                raise
            return self.lose(error, at)
        if isinstance(reading, Reading):
            self._missing = None
        return reading

    def _counted(self, library: PowerCalls, at: Moment) -> CounterReading:
        while True:
            try:
                counted = self._counter.take(at.monotonic_s, self._raw_j(library, at))
            except NvmlError as error:
                if error.fault not in _STEPS_DOWN:
                    raise
                if self._method is METHODS[-1]:
                    self._use(Method.ENERGY_COUNTER)
                    raise
                self._step_down(error.reason)
                continue
            if counted.event is not None:
                self._events[counted.event.value] += 1
                log.warning("energy counter", extra={"gpu": self.device.uuid, "event": counted.event.value})
            if not self._is_stuck(library, counted, at):
                return counted
            self._step_down(f"the counter stood still for {STILL_S:g} s while the GPU drew power")

    def _raw_j(self, library: PowerCalls, at: Moment) -> float:
        if self._method is Method.ENERGY_COUNTER:
            return library.energy_j(self.device)
        ask = library.instant_power_w if self._method is Method.INSTANT_POWER else library.power_w
        power_w = ask(self.device)
        if power_w >= self._bound_w:
            raise NvmlError(NvmlFault.OTHER, f"{self.device.uuid}: {power_w:.0f} W is more than the GPU draws")
        return self._integral.take(at.monotonic_s, power_w)

    def _is_stuck(self, library: PowerCalls, counted: CounterReading, at: Moment) -> bool:
        if self._method is not Method.ENERGY_COUNTER or counted.moved_at_s >= at.monotonic_s:
            self._still_since_s = None
            return False
        self._still_since_s = at.monotonic_s if self._still_since_s is None else self._still_since_s
        if at.monotonic_s - self._still_since_s < STILL_S:
            return False
        try:
            return library.power_w(self.device) > _QUIET_W
        except NvmlError as error:
            if error.fault in _STEPS_DOWN:  # nothing else to measure by: the reading grows old, which is the truth
                return False
            raise

    def _reading(self, library: PowerCalls, counted: CounterReading, at: Moment) -> Reading | Missing:
        if self._offset_j is None:
            self._offset_j = 0.0 if self._energy_j is None else self._energy_j - counted.energy_j
        energy_j = self._energy_j = max(self._energy_j or 0.0, counted.energy_j + self._offset_j)
        observed_at_s = at.wall_s - (at.monotonic_s - counted.moved_at_s)
        if counted.power_w is not None:
            return Reading(counted.power_w, energy_j, observed_at_s, self.source, Quality.DIRECT)
        power_w = library.power_w(self.device)  # stands in for the seconds until the window is full
        if power_w >= self._bound_w:
            raise NvmlError(NvmlFault.OTHER, f"{self.device.uuid}: {power_w:.0f} W is more than the GPU draws")
        return Reading(power_w, energy_j, at.wall_s, f"nvml {Method.POWER_USAGE.value}", Quality.DIRECT)

    def _step_down(self, reason: str) -> None:
        below = METHODS[METHODS.index(self._method) + 1]
        self._events["step_down"] += 1
        log.warning(
            "power is measured in another way", extra={"gpu": self.device.uuid, "by": below.value, "reason": reason}
        )
        self._use(below)

    def _use(self, method: Method) -> None:
        self._method = method
        self._bound_w = power_bound_w(self.device.max_limit_w)
        self._counter = EnergyCounter(CounterOptions(window_s=self._window_s, bound_w=self._bound_w))
        self._integral = PowerIntegral()
        self._still_since_s = None
        self._offset_j = None
