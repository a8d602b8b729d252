"""Power of emulated GPUs as a real one would report it. Pure.

An H100's power reading is an average over the last second. Here it is the difference of the exact energy counter over
at least that time, shared evenly by the GPUs of an instance.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from controller.model.observation import InstanceState

WINDOW_S = 1.0
MAX_SAMPLES = 64
FRAMEBUFFER_MIB = 81_559
"""Memory of an H100 80GB as the driver counts it."""
_USED_MIB = {
    InstanceState.SERVING: round(0.92 * FRAMEBUFFER_MIB),
    InstanceState.WAKING: round(0.92 * FRAMEBUFFER_MIB),
    InstanceState.STARTING: round(0.46 * FRAMEBUFFER_MIB),
    InstanceState.SLEEPING: 2_300,
}
"""An engine takes 92 % of the memory whatever its load; asleep it keeps its context only."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU at one moment.

    Attributes:
        power_w: average over the last second.
        energy_j: since the emulator began; it only grows.
        util_frac: share of the last second in which the GPU computed.
    """

    uuid: str
    power_w: float
    energy_j: float
    util_frac: float
    memory_used_mib: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of one instance at a time."""

    at_s: float
    energy_j: float
    busy_s: float


class PowerMeter:
    """Averages of one instance over the last second, from samples taken every now and then."""

    def __init__(self, first: Sample) -> None:
        self._samples: deque[Sample] = deque([first], maxlen=MAX_SAMPLES)

    def add(self, sample: Sample) -> None:
        """Keep a sample, and forget those that are older than needed."""
        self._samples.append(sample)
        while len(self._samples) > 2 and self._samples[1].at_s <= sample.at_s - WINDOW_S:
            self._samples.popleft()

    def average(self, now: Sample) -> tuple[float, float] | None:
        """Power in W and busy share up to now; None where no time has passed since the only sample."""
        since = self._samples[0]
        for sample in self._samples:
            if sample.at_s <= now.at_s - WINDOW_S:
                since = sample
        passed_s = now.at_s - since.at_s
        if passed_s <= 0:
            return None
        return (now.energy_j - since.energy_j) / passed_s, (now.busy_s - since.busy_s) / passed_s


def split(
    uuids: tuple[str, ...], *, power_w: float, energy_j: float, util_frac: float, state: InstanceState
) -> tuple[GpuReading, ...]:
    """An instance's figures shared by its GPUs."""
    count = len(uuids)
    memory_mib = _USED_MIB.get(state, 0)
    return tuple(GpuReading(uuid, power_w / count, energy_j / count, util_frac, memory_mib) for uuid in uuids)


def spare(uuids: tuple[str, ...], *, gpu_w: float, passed_s: float) -> tuple[GpuReading, ...]:
    """GPUs that no instance occupies."""
    return tuple(GpuReading(uuid, gpu_w, gpu_w * passed_s, 0.0, 0) for uuid in uuids)
