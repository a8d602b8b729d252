"""GPU power from dcgm-exporters, by reading their metrics addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from controller.errors import SignalError
from controller.model.observation import Missing, Reading
from controller.signals.power.gpu_counters import GpuCounters, Shown, is_energy_mj, is_power_w
from controller.signals.power.http_access import HttpAccess
from controller.signals.power.source import MAX_GPUS, Board, GpuReadings, owner_of
from controller.signals.prometheus_text import Sample, parse

POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
UUID_LABELS = ("UUID", "gpu_uuid", "uuid")
_NAME_LABEL = "modelName"
_DRIVER_LABEL = "DCGM_FI_DRIVER_VERSION"
_MAX_LABEL = 253
"""Characters of a label: a pod has as many in its name at the most."""


@dataclass(frozen=True, slots=True)
class DcgmNames:
    """What metrics and labels are called; a relabelling in front of the exporter may have renamed them.

    Attributes:
        power: gauge in W.
        energy: counter in mJ.
        uuid_labels: labels that may hold a GPU's UUID; the first one present counts.
    """

    power: str = POWER
    energy: str = ENERGY
    uuid_labels: tuple[str, ...] = UUID_LABELS


@dataclass(frozen=True, slots=True)
class Scraped:
    """Figures of one GPU at the time of a scrape, and what it is; None where they are absent or blank."""

    power_w: float | None
    energy_j: float | None
    emulated: bool
    board: Board | None = None
    pod: str | None = None


class DcgmSource:
    """Readings of every GPU that the exporters show, by UUID."""

    def __init__(self, access: HttpAccess, urls: tuple[str, ...], names: DcgmNames | None = None) -> None:
        self._access = access
        self._urls = urls
        self._names = names or DcgmNames()
        self._counters = GpuCounters()
        self._boards: dict[str, Board] = {}
        self._owners: dict[str, str] = {}

    async def read(self, now_s: float) -> GpuReadings:
        """Readings by UUID, and the exporters that failed."""
        results = await asyncio.gather(*(self._scrape(url) for url in self._urls))
        readings: dict[str, Reading | Missing] = {}
        errors: list[SignalError] = []
        for url, result in zip(self._urls, results, strict=True):
            if isinstance(result, SignalError):
                errors.append(result)
                continue
            for uuid, scraped in result.items():
                energy = () if scraped.energy_j is None else ((now_s, scraped.energy_j),)
                shown = Shown(scraped.power_w, energy, now_s, scraped.emulated)
                readings[uuid] = self._counters.take(uuid, shown, url)
                if scraped.board is not None:
                    self._boards[uuid] = scraped.board
                if scraped.pod is None:
                    self._owners.pop(uuid, None)
                else:
                    self._owners[uuid] = scraped.pod
        if not errors:  # every exporter answered: what none of them shows is gone
            self._counters.keep_only(readings)
            self._boards = {uuid: board for uuid, board in self._boards.items() if uuid in readings}
            self._owners = {uuid: pod for uuid, pod in self._owners.items() if uuid in readings}
        return readings, tuple(errors)

    def boards(self) -> dict[str, Board]:
        """What the GPUs are, by UUID, as far as the exporters' labels tell."""
        return self._boards

    def owners(self) -> dict[str, str]:
        """Pods that have the GPUs, by UUID, where the exporters run with DCGM_EXPORTER_KUBERNETES=true."""
        return self._owners

    async def _scrape(self, url: str) -> dict[str, Scraped] | SignalError:
        names = self._names
        try:
            text = await self._access.get_text(url)
            found = gpus_of(parse(text, (names.power, names.energy)), names)
        except SignalError as error:
            return error
        except ValueError as error:
            return SignalError(url, f"not Prometheus text ({error})")
        if not found:
            labels = ", ".join(names.uuid_labels)
            return SignalError(
                url, f"shows neither {names.power} nor {names.energy} with a label of {labels}; see its counters file"
            )
        return found


def gpus_of(samples: Iterable[Sample], names: DcgmNames | None = None) -> dict[str, Scraped]:
    """Power and energy by UUID; MIG instances repeat their GPU's figures, of which the largest is taken.

    Blank sentinels, NaN and negative values are left out: missing is not zero.

    Raises:
        ValueError: there are more GPUs than `MAX_GPUS`.
    """
    names = names or DcgmNames()
    power_w: dict[str, float] = {}
    energy_j: dict[str, float] = {}
    emulated: dict[str, bool] = {}
    boards: dict[str, Board] = {}
    pods: dict[str, str] = {}
    for sample in samples:
        uuid = next((sample.labels[key] for key in names.uuid_labels if sample.labels.get(key)), None)
        if uuid is None:
            continue
        name = sample.labels.get(_NAME_LABEL, "")
        emulated[uuid] = emulated.get(uuid, False) or "emulated" in name.lower()
        if name:
            boards[uuid] = Board(name[:_MAX_LABEL], sample.labels.get(_DRIVER_LABEL) or None)
        if (pod := owner_of(sample.labels)) is not None:
            pods[uuid] = pod[:_MAX_LABEL]
        if len(emulated) > MAX_GPUS:
            raise ValueError(f"more than {MAX_GPUS} GPUs")
        if sample.name == names.power and is_power_w(sample.value):
            power_w[uuid] = max(power_w.get(uuid, 0.0), sample.value)
        elif sample.name == names.energy and is_energy_mj(sample.value):
            energy_j[uuid] = max(energy_j.get(uuid, 0.0), sample.value * 1e-3)
    return {
        uuid: Scraped(power_w.get(uuid), energy_j.get(uuid), emulated[uuid], boards.get(uuid), pods.get(uuid))
        for uuid in emulated
    }
