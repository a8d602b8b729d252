"""Power of the profiled GPUs over a window, from any source of power readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from controller.clock import Clock
from controller.errors import ConfigError, PowerLost, ProfileError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.source import BoardSource, GpuSource

MOST_SHOWN = 12
LOOK_S = 1.0
"""Between two looks at a source that is waited for."""


@dataclass(frozen=True, slots=True)
class PowerSample:
    """All GPUs of the instance at one moment.

    Attributes:
        at_s: when it was read.
        gpus: one reading for each, in the order of the meter's UUIDs.
    """

    at_s: float
    gpus: tuple[Reading, ...]

    @property
    def has_counters(self) -> bool:
        """Whether every GPU has an energy counter."""
        return all(gpu.energy_j is not None for gpu in self.gpus)

    @property
    def value_w(self) -> float:
        """Sum of the gauges."""
        return sum(gpu.value_w for gpu in self.gpus)


class GpuMeter:
    """The GPUs of one instance.

    Attributes:
        uuids: of the GPUs; patterns such as ``GPU-1a*``, or nothing for all, until they are found.
        is_emulated: whether any reading is of an emulated GPU.
        name, driver: of the GPUs, where the source tells and they are alike.
    """

    def __init__(self, source: GpuSource, spec: str, uuids: tuple[str, ...]) -> None:
        self._source = source
        self._spec = spec
        self.uuids = uuids
        self.is_emulated = False
        self.name: str | None = None
        self.driver: str | None = None

    async def find(self, now_s: float, gpus: int | None) -> None:
        """Settle which GPUs are read: those named, or all that the source shows.

        Args:
            now_s: the time.
            gpus: of the instance, where the engine tells.

        Raises:
            ConfigError: a named GPU is not shown, or the source shows more or fewer than the instance has.
            ProfileError: the source shows no GPU.
            PowerLost: the source cannot be read.
        """
        readings = await self._read(now_s)
        shown = ", ".join(list(readings)[:MOST_SHOWN]) + (", ..." if len(readings) > MOST_SHOWN else "")
        if not readings:
            raise ProfileError(f"--power {self._spec} shows no GPU; is the exporter running on the engine's machine?")
        for wanted in self.uuids:
            if not any(fnmatchcase(uuid, wanted) for uuid in readings):
                raise ConfigError(f"--gpu-uuid {wanted}: {self._spec} does not show it; it shows {shown}")
        wanted_uuids = self.uuids or ("*",)
        found = tuple(uuid for uuid in readings if any(fnmatchcase(uuid, wanted) for wanted in wanted_uuids))
        if gpus is not None and len(found) != gpus:
            raise ConfigError(
                f"the engine runs on {gpus} GPUs, but {'those named' if self.uuids else self._spec + ' shows'} "
                f"{'are ' if self.uuids else ''}{len(found)}: name the engine's own with --gpu-uuid, once for each; "
                f"shown are {shown}"
            )
        self.uuids = found
        self.is_emulated = any(
            isinstance(reading, Reading) and reading.quality is Quality.EMULATED
            for reading in (readings[uuid] for uuid in found)
        )
        self._see_boards()

    def _see_boards(self) -> None:
        boards = self._source.boards() if isinstance(self._source, BoardSource) else {}
        seen = [boards.get(uuid) for uuid in self.uuids]
        names = {None if board is None else board.name for board in seen}
        drivers = {None if board is None else board.driver for board in seen}
        self.name = names.pop() if len(names) == 1 else None
        self.driver = drivers.pop() if len(drivers) == 1 else None

    async def sample(self, now_s: float) -> PowerSample:
        """Read all GPUs.

        Raises:
            PowerLost: one cannot be read.
        """
        readings = await self._read(now_s)
        found: list[Reading] = []
        for uuid in self.uuids:
            reading = readings.get(uuid)
            if not isinstance(reading, Reading):
                reason = reading.reason if isinstance(reading, Missing) else "it is no longer shown"
                raise PowerLost(f"--power {self._spec}: {uuid}: {reason}; without its power nothing can be fitted")
            found.append(reading)
        self.is_emulated = self.is_emulated or any(reading.quality is Quality.EMULATED for reading in found)
        return PowerSample(now_s, tuple(found))

    async def back(self, clock: Clock, patience_s: float) -> bool:
        """Wait until all GPUs are read and their readings are new; whether that came to pass.

        Args:
            clock: to wait by.
            patience_s: longest wait.
        """
        end_s = clock.monotonic_s() + patience_s
        first: PowerSample | None = None
        while clock.monotonic_s() < end_s:
            try:
                sample = await self.sample(clock.wall_s())
            except PowerLost:
                first = None
            else:
                first = first or sample
                if all(
                    now.observed_at_s > then.observed_at_s for now, then in zip(sample.gpus, first.gpus, strict=True)
                ):
                    return True
            await clock.sleep(LOOK_S)
        return False

    async def _read(self, now_s: float) -> Mapping[str, Reading | Missing]:
        readings, errors = await self._source.read(now_s)
        if errors:
            raise PowerLost(f"--power {self._spec}: {errors[0]}; see that the source runs and can be reached from here")
        return readings


def mean_w(samples: Sequence[PowerSample]) -> float:
    """Mean power between the first and the last sample, of all GPUs.

    Raises:
        PowerLost: a counter went back or stood still.
    """
    return sum(means_w(samples))


def means_w(samples: Sequence[PowerSample]) -> tuple[float, ...]:
    """Mean power of each GPU between the first and the last sample: by the energy counters, else by the gauges.

    Raises:
        PowerLost: a counter went back or stood still.
    """
    first, last = samples[0], samples[-1]
    if not (first.has_counters and last.has_counters):
        return tuple(sum(values) / len(samples) for values in _gauges(samples))
    return tuple(_counted_w(then, now) for then, now in zip(first.gpus, last.gpus, strict=True))


def stuck(samples: Sequence[PowerSample]) -> tuple[int, ...]:
    """Indices of the GPUs whose gauge tells the very same power in all samples, where only gauges tell it."""
    if all(sample.has_counters for sample in samples):
        return ()
    return tuple(index for index, values in enumerate(_gauges(samples)) if len(set(values)) == 1)


def _gauges(samples: Sequence[PowerSample]) -> list[tuple[float, ...]]:
    """Values by GPU."""
    return list(zip(*([gpu.value_w for gpu in sample.gpus] for sample in samples), strict=True))


def _counted_w(then: Reading, now: Reading) -> float:
    passed_s, used_j = now.observed_at_s - then.observed_at_s, (now.energy_j or 0.0) - (then.energy_j or 0.0)
    if passed_s <= 0 or used_j < 0:
        raise PowerLost(
            f"an energy counter of {now.source} moved by {used_j:.3f} J in {passed_s:.3f} s: the exporter hangs, was "
            "restarted, or is too slow for this window; set DCGM_EXPORTER_INTERVAL=1000, or lengthen --window-s"
        )
    return used_j / passed_s
