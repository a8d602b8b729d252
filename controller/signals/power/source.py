"""The interfaces behind which every source of power stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from controller.errors import SignalError
from controller.model.freshness import MAX_AHEAD_S
from controller.model.observation import Missing, Reading, Rung
from controller.signals.power.meter_scope import MeterScope

MAX_GPUS = 65_536
"""GPUs that are taken in from one source; what is beyond is a fault of the source."""

GpuReadings = tuple[Mapping[str, Reading | Missing], tuple[SignalError, ...]]
"""Readings by UUID, and what could not be asked."""


class GpuSource(Protocol):
    """Reads the power of GPUs."""

    async def read(self, now_s: float) -> GpuReadings:
        """Readings of all GPUs that the source shows, and what could not be asked; never raises for the outside."""


@dataclass(frozen=True, slots=True)
class Board:
    """What a GPU is: the name of its type, and the version of its driver where the source tells it."""

    name: str
    driver: str | None = None


@runtime_checkable
class BoardSource(Protocol):
    """A source that knows what its GPUs are."""

    def boards(self) -> Mapping[str, Board]:
        """Boards by UUID, as of the last reading; without those that are not told."""


@runtime_checkable
class OwnerSource(Protocol):
    """A source that knows which pods its GPUs are given to."""

    def owners(self) -> Mapping[str, str]:
        """Names of pods by UUID, as of the last reading; without GPUs that no pod has."""


POD_LABELS = ("exported_pod", "pod")
"""Labels in which dcgm-exporter names the pod that has a GPU; the first one present counts. Prometheus renames the
exporter's `pod` where its own label is called so."""


def owner_of(labels: Mapping[str, str]) -> str | None:
    """Name of the pod that has the GPU of a series; None where it tells none."""
    return next((labels[key] for key in POD_LABELS if labels.get(key)), None)


class MeterSource(Protocol):
    """Reads the power at the site's metering point, or that of its machines."""

    async def read(self, now_s: float) -> Reading | Missing:
        """The meter's reading; never raises for the outside."""


@dataclass(frozen=True, slots=True)
class NamedGpus:
    """A source of GPU power, what it is called in metrics and messages, and its place on the ladder."""

    name: str
    rung: Rung
    source: GpuSource


@dataclass(frozen=True, slots=True)
class NamedMeter:
    """A source of the site's power, what it is called, and what it sees of the site."""

    name: str
    source: MeterSource
    scope: MeterScope = field(default_factory=MeterScope)


def believed_s(observed_at_s: float, now_s: float) -> float:
    """When a value was observed, by a clock that is not ours.

    Raises:
        ValueError: that clock is so far ahead that the age of its values cannot be told.
    """
    if observed_at_s > now_s + MAX_AHEAD_S:
        ahead_s = observed_at_s - now_s
        raise ValueError(f"its clock is {ahead_s:.0f} s ahead of this machine's; keep both by NTP")
    return min(observed_at_s, now_s)
