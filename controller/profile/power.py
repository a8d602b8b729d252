"""Power of the profiled GPUs over a window, from any source of power readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from controller.errors import ConfigError, ProfileError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.source import BoardSource, GpuSource

MOST_SHOWN = 12


@dataclass(frozen=True, slots=True)
class PowerSample:
    """All GPUs of the instance at one moment.

    Attributes:
        at_s: when it was read.
        value_w: their sum.
        energy_j: sum of their counters, None where one has none.
        energy_at_s: when the counters last moved.
    """

    at_s: float
    value_w: float
    energy_j: float | None
    energy_at_s: float


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
            ProfileError: the source cannot be read.
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
            ProfileError: one cannot be read.
        """
        readings = await self._read(now_s)
        found: list[Reading] = []
        for uuid in self.uuids:
            reading = readings.get(uuid)
            if not isinstance(reading, Reading):
                reason = reading.reason if isinstance(reading, Missing) else "it is no longer shown"
                raise ProfileError(f"--power {self._spec}: {uuid}: {reason}; without its power nothing can be fitted")
            found.append(reading)
        self.is_emulated = self.is_emulated or any(reading.quality is Quality.EMULATED for reading in found)
        counters = [reading.energy_j for reading in found if reading.energy_j is not None]
        return PowerSample(
            at_s=now_s,
            value_w=sum(reading.value_w for reading in found),
            energy_j=sum(counters) if len(counters) == len(found) else None,
            energy_at_s=sum(reading.observed_at_s for reading in found) / len(found),
        )

    async def _read(self, now_s: float) -> Mapping[str, Reading | Missing]:
        readings, errors = await self._source.read(now_s)
        if errors:
            raise ProfileError(
                f"--power {self._spec}: {errors[0]}; see that the source runs and can be reached from here"
            )
        return readings


def mean_w(samples: Sequence[PowerSample]) -> float:
    """Mean power between the first and the last sample: by the energy counters, else by the gauges.

    Raises:
        ProfileError: a counter went back or stood still.
    """
    first, last = samples[0], samples[-1]
    if first.energy_j is None or last.energy_j is None:
        return sum(sample.value_w for sample in samples) / len(samples)
    passed_s, used_j = last.energy_at_s - first.energy_at_s, last.energy_j - first.energy_j
    if passed_s <= 0 or used_j < 0:
        raise ProfileError(
            f"the energy counters moved by {used_j:.3f} J in {passed_s:.3f} s: the exporter is too slow for this "
            "window or was restarted; set DCGM_EXPORTER_INTERVAL=1000, or lengthen --window-s"
        )
    return used_j / passed_s
