"""GPU power from dcgm-exporters.

Power comes from differences of the energy counter over `MIN_WINDOW_S` or more, as the power gauge of A100 and H100
samples a quarter of the time (arXiv 2312.02741); the gauge stands in until two counter values are known. An exporter
refreshes its figures at its own pace: a counter that stands still while the gauge shows draw is an old reading, and is
reported with the time at which it last moved.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiohttp

from controller.errors import SignalError
from controller.model.observation import Missing, Quality, Reading
from controller.signals.http_client import get_text
from controller.signals.prometheus_text import Sample, parse

POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
MIN_WINDOW_S = 1.9
"""Two seconds, less the jitter of a tick of that length."""
MAX_WINDOW_S = 60.0
MAX_GPU_W = 3000.0
"""More than any GPU draws; larger values are blanks or faults of the sensor."""
_BLANK = 1.4e14
"""DCGM marks missing values with 140737488355328.0, 9223372036854775792 and the numbers next to them."""
_UUID_LABELS = ("UUID", "gpu_uuid", "uuid")
_QUIET_W = 1.0
"""Draw below which a counter that stands still is no sign of an old reading."""


@dataclass(slots=True)
class _Gpu:
    """What is remembered of one GPU: (time, counter) points at which its counter moved, oldest first."""

    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=128))
    offset_j: float = 0.0
    """Energy counted before the counter was last reset, so that the reported one only grows."""


@dataclass(frozen=True, slots=True)
class _Scraped:
    power_w: float | None
    energy_j: float | None
    emulated: bool


class DcgmSource:
    """Readings of every GPU that the exporters show, by UUID."""

    def __init__(self, session: aiohttp.ClientSession, urls: tuple[str, ...], timeout_s: float = 1.5) -> None:
        self._session = session
        self._urls = urls
        self._timeout_s = timeout_s
        self._gpus: dict[str, _Gpu] = {}

    async def read(self, now_s: float) -> tuple[dict[str, Reading | Missing], tuple[SignalError, ...]]:
        """Readings by UUID, and the exporters that failed."""
        results = await asyncio.gather(*(self._scrape(url) for url in self._urls))
        readings: dict[str, Reading | Missing] = {}
        errors: list[SignalError] = []
        for url, result in zip(self._urls, results, strict=True):
            if isinstance(result, SignalError):
                errors.append(result)
                continue
            for uuid, scraped in result.items():
                readings[uuid] = self._reading(uuid, scraped, url=url, now_s=now_s)
        if not errors:  # every exporter answered: what none of them shows is gone
            self._gpus = {uuid: gpu for uuid, gpu in self._gpus.items() if uuid in readings}
        return readings, tuple(errors)

    async def _scrape(self, url: str) -> dict[str, _Scraped] | SignalError:
        try:
            return gpus_of(parse(await get_text(self._session, url, self._timeout_s), (POWER, ENERGY)))
        except SignalError as error:
            return error
        except ValueError as error:
            return SignalError(url, f"not Prometheus text ({error})")

    def _reading(self, uuid: str, scraped: _Scraped, *, url: str, now_s: float) -> Reading | Missing:
        gpu = self._gpus.setdefault(uuid, _Gpu())
        quality = Quality.EMULATED if scraped.emulated else Quality.DIRECT
        if scraped.energy_j is None:
            if scraped.power_w is None:
                return Missing(url, f"{uuid}: neither power nor energy is shown", now_s)
            return Reading(scraped.power_w, None, now_s, url, quality)
        observed_at_s, from_counter_w = _advance(gpu, scraped.energy_j, now_s)
        power_w = scraped.power_w if from_counter_w is None else from_counter_w
        if power_w is None:
            return Missing(url, f"{uuid}: one value of the energy counter is known, two are needed", now_s)
        if power_w > MAX_GPU_W:
            gpu.points.clear()
            return Missing(url, f"{uuid}: {power_w:.0f} W is more than a GPU draws", now_s)
        if scraped.power_w is not None and scraped.power_w < _QUIET_W and observed_at_s < now_s:
            observed_at_s, power_w = now_s, scraped.power_w  # off: neither figure moves, and that is right
        return Reading(power_w, gpu.offset_j + scraped.energy_j, observed_at_s, url, quality)


def gpus_of(samples: Iterable[Sample]) -> dict[str, _Scraped]:
    """Power and energy by UUID; MIG instances repeat their GPU's figures, of which the largest is taken.

    Blank sentinels, NaN and negative values are left out: missing is not zero.
    """
    power_w: dict[str, float] = {}
    energy_j: dict[str, float] = {}
    emulated: dict[str, bool] = {}
    for sample in samples:
        uuid = next((sample.labels[key] for key in _UUID_LABELS if sample.labels.get(key)), None)
        if uuid is None:
            continue
        emulated[uuid] = emulated.get(uuid, False) or "emulated" in sample.labels.get("modelName", "").lower()
        is_power = sample.name == POWER
        if not math.isfinite(sample.value) or not 0 <= sample.value < (MAX_GPU_W if is_power else _BLANK):
            continue
        target, factor = (power_w, 1.0) if is_power else (energy_j, 1e-3)
        target[uuid] = max(target.get(uuid, 0.0), sample.value * factor)
    return {uuid: _Scraped(power_w.get(uuid), energy_j.get(uuid), emulated[uuid]) for uuid in emulated}


def _advance(gpu: _Gpu, energy_j: float, now_s: float) -> tuple[float, float | None]:
    """Take in a counter value; returns when the counter last moved and the mean power since `MIN_WINDOW_S` earlier."""
    points = gpu.points
    if points and energy_j < points[-1][1]:  # the driver was reloaded
        gpu.offset_j += points[-1][1]
        points.clear()
    if not points or energy_j > points[-1][1]:
        points.append((now_s, energy_j))
    last_s, last_j = points[-1]
    earlier = [point for point in points if MIN_WINDOW_S <= last_s - point[0] <= MAX_WINDOW_S]
    if not earlier:
        return last_s, None
    first_s, first_j = earlier[-1]
    return last_s, (last_j - first_j) / (last_s - first_s)
