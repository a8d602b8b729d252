"""What a source of power is made from: one frozen specification a kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from controller.signals.power.csv_replay import ReplayTimes
from controller.signals.power.dcgm import DcgmNames
from controller.signals.power.http_access import HttpOptions
from controller.signals.power.promql import GpuQueries


@dataclass(frozen=True, slots=True)
class DcgmSpec:
    """dcgm-exporters, by their metrics addresses."""

    urls: tuple[str, ...]
    names: DcgmNames = field(default_factory=DcgmNames)
    http: HttpOptions = field(default_factory=HttpOptions)


@dataclass(frozen=True, slots=True)
class PromqlSpec:
    """A Prometheus that scrapes dcgm-exporters."""

    url: str
    queries: GpuQueries = field(default_factory=GpuQueries)
    http: HttpOptions = field(default_factory=HttpOptions)


@dataclass(frozen=True, slots=True)
class CsvSpec:
    """A recording of GPU power."""

    path: Path
    times: ReplayTimes = field(default_factory=ReplayTimes)


GpuSpec: TypeAlias = DcgmSpec | PromqlSpec | CsvSpec
