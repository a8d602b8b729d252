"""What a source of power is made from: one frozen specification a kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from controller.model.observation import Rung
from controller.signals.power.csv_replay import ReplayTimes
from controller.signals.power.dcgm import DcgmNames
from controller.signals.power.http_access import HttpOptions
from controller.signals.power.ladder import LadderRules
from controller.signals.power.meter_scope import MeterScope
from controller.signals.power.modbus_meter import ModbusMap
from controller.signals.power.promql import GpuQueries
from controller.signals.power.promql_meter import MeterQueries
from controller.signals.power.redfish_meter import RedfishSpec


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


@dataclass(frozen=True, slots=True)
class NvmlSpec:
    """NVML on the machine of the controller itself."""

    interval_s: float = 0.2


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """Node agents, by their addresses."""

    urls: tuple[str, ...]
    http: HttpOptions = field(default_factory=HttpOptions)


@dataclass(frozen=True, slots=True)
class ZeusdSpec:
    """A zeusd.

    Attributes:
        url: http://HOST:PORT, or unix:/PATH of its socket.
        gpu_uuids: of its GPUs in the order of their indices.
    """

    url: str
    gpu_uuids: tuple[str, ...]
    http: HttpOptions = field(default_factory=HttpOptions)


GpuSpec: TypeAlias = DcgmSpec | PromqlSpec | CsvSpec | NvmlSpec | AgentSpec | ZeusdSpec


@dataclass(frozen=True, slots=True)
class PromqlMeterSpec:
    """The site's meter by a Prometheus."""

    url: str
    queries: MeterQueries
    http: HttpOptions = field(default_factory=HttpOptions)
    scope: MeterScope = field(default_factory=MeterScope)


@dataclass(frozen=True, slots=True)
class CsvMeterSpec:
    """A recording of the site's meter."""

    path: Path
    times: ReplayTimes = field(default_factory=ReplayTimes)
    scope: MeterScope = field(default_factory=MeterScope)


MeterSpec: TypeAlias = PromqlMeterSpec | ModbusMap | RedfishSpec | CsvMeterSpec


def rung_of(spec: GpuSpec) -> Rung:
    """The place of a source of GPU power on the ladder; a recording stands for what it was made from."""
    return Rung.DCGM if isinstance(spec, DcgmSpec | PromqlSpec) else Rung.NVML


@dataclass(frozen=True, slots=True)
class PowerSpecs:
    """All sources of a site by name, and how they are judged."""

    gpus: tuple[tuple[str, GpuSpec], ...] = ()
    meters: tuple[tuple[str, MeterSpec], ...] = ()
    rules: LadderRules = field(default_factory=LadderRules)
