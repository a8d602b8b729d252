"""GPU power by PromQL, from the metrics of dcgm-exporters that a Prometheus has scraped.

The energy counter is read as the samples of the last minute, each with the time at which it was scraped, so that
several replicas of a Prometheus, a late scrape or an exporter that is down show as what they are: old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from controller.errors import SignalError
from controller.model.observation import Missing, Reading
from controller.signals.power.dcgm import ENERGY, POWER, UUID_LABELS
from controller.signals.power.gpu_counters import GpuCounters, Shown, is_energy_mj, is_power_w
from controller.signals.power.prometheus import Prometheus, Series
from controller.signals.power.source import MAX_GPUS, GpuReadings, believed_s, owner_of


@dataclass(frozen=True, slots=True)
class GpuQueries:
    """What is asked of the Prometheus.

    Attributes:
        power: power by GPU in W; None asks for none.
        energy: energy counter by GPU in mJ; None asks for none.
        time: time in seconds since the epoch at which each GPU was last observed; needed where `power` and `energy` are
            no range selectors, as their answers have lost the samples' own times.
        uuid_labels: labels that may hold a GPU's UUID; the first one present counts.
    """

    power: str | None = f"{POWER}[1m]"
    energy: str | None = f"{ENERGY}[1m]"
    time: str | None = None
    uuid_labels: tuple[str, ...] = UUID_LABELS


class PromqlSource:
    """Readings of every GPU in the answers, by UUID."""

    def __init__(self, prometheus: Prometheus, url: str, queries: GpuQueries | None = None) -> None:
        self._prometheus = prometheus
        self._url = url
        self._queries = queries or GpuQueries()
        self._counters = GpuCounters()
        self._owners: dict[str, str] = {}

    async def read(self, now_s: float) -> GpuReadings:
        """Readings by UUID, and why there are none."""
        queries = self._queries
        try:
            power, energy, times = await asyncio.gather(
                self._ask(queries.power), self._ask(queries.energy), self._ask(queries.time)
            )
            shown = shown_by_uuid(power, energy, times, queries, now_s)
            self._owners = owners_by_uuid((*power, *energy), queries.uuid_labels)
        except SignalError as error:
            return {}, (error,)
        except ValueError as error:
            return {}, (SignalError(self._url, str(error)),)
        if not shown:
            asked = " and ".join(repr(query) for query in (queries.power, queries.energy) if query)
            labels = ", ".join(queries.uuid_labels)
            return {}, (SignalError(self._url, f"{asked}: no series with a label of {labels}"),)
        readings: dict[str, Reading | Missing] = {
            uuid: self._counters.take(uuid, gpu, self._url) for uuid, gpu in shown.items()
        }
        self._counters.keep_only(readings)
        return readings, ()

    def owners(self) -> dict[str, str]:
        """Pods that have the GPUs, by UUID, where the series are told with them."""
        return self._owners

    async def _ask(self, query: str | None) -> tuple[Series, ...]:
        return () if query is None else await self._prometheus.query(query)


def shown_by_uuid(
    power: Iterable[Series], energy: Iterable[Series], times: Iterable[Series], queries: GpuQueries, now_s: float
) -> dict[str, Shown]:
    """What the answers show of each GPU; of several series, as MIG rows or replicas give, the largest value counts.

    Raises:
        ValueError: the Prometheus' clock is ahead, or there are more GPUs than `MAX_GPUS`.
    """
    gauges = _by_uuid(power, queries.uuid_labels, is_power_w)
    counters = _by_uuid(energy, queries.uuid_labels, is_energy_mj)
    observed = {uuid: points[max(points)] for uuid, points in _by_uuid(times, queries.uuid_labels, _is_time).items()}
    emulated = {
        _uuid(series, queries.uuid_labels)
        for series in (*power, *energy)
        if "emulated" in series.labels.get("modelName", "").lower()
    }
    if len(gauges.keys() | counters.keys()) > MAX_GPUS:
        raise ValueError(f"more than {MAX_GPUS} GPUs")
    out: dict[str, Shown] = {}
    for uuid in gauges.keys() | counters.keys():
        gauge, counter = gauges.get(uuid, {}), counters.get(uuid, {})
        if queries.time is not None:
            if uuid not in observed:
                continue
            gauge = {observed[uuid]: gauge[max(gauge)]} if gauge else {}
            counter = {observed[uuid]: counter[max(counter)]} if counter else {}
        newest_s = believed_s(max((*gauge, *counter)), now_s)
        points = tuple((believed_s(at_s, now_s), counter[at_s] * 1e-3) for at_s in sorted(counter))
        power_w = gauge[max(gauge)] if gauge else None
        out[uuid] = Shown(power_w, points, newest_s, uuid in emulated)
    return out


def owners_by_uuid(series: Iterable[Series], labels: tuple[str, ...]) -> dict[str, str]:
    """Pods that have the GPUs; of several series of one GPU the newest counts, as an old pod's go on for a while."""
    newest: dict[str, tuple[float, str]] = {}
    for each in series:
        uuid, pod = _uuid(each, labels), owner_of(each.labels)
        if uuid is None or pod is None or not each.points:
            continue
        told = (max(at_s for at_s, _ in each.points), pod)
        newest[uuid] = max(told, newest.get(uuid, told))
    return {uuid: pod for uuid, (_, pod) in newest.items()}


def _by_uuid(
    answer: Iterable[Series], labels: tuple[str, ...], is_value: Callable[[float], bool]
) -> dict[str, dict[float, float]]:
    """Values by time of each GPU, without blanks and impossible ones."""
    out: dict[str, dict[float, float]] = {}
    for series in answer:
        uuid = _uuid(series, labels)
        if uuid is None:
            continue
        values = {at_s: value for at_s, value in series.points if is_value(value)}
        if values:
            known = out.setdefault(uuid, {})
            known.update({at_s: max(value, known.get(at_s, value)) for at_s, value in values.items()})
    return out


def _uuid(series: Series, labels: tuple[str, ...]) -> str | None:
    return next((series.labels[key] for key in labels if series.labels.get(key)), None)


def _is_time(value: float) -> bool:
    return value > 0
