"""The section `signals` of the configuration file as far as power goes: sources, meter and the ladder between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from controller.signals.power.conflict import ConflictRules
from controller.signals.power.csv_replay import ReplayTimes
from controller.signals.power.dcgm import ENERGY, POWER, UUID_LABELS, DcgmNames
from controller.signals.power.http_access import HttpOptions
from controller.signals.power.ladder import LadderRules
from controller.signals.power.modbus_meter import ModbusMap, Register, RegisterType
from controller.signals.power.prometheus import has_sample_times
from controller.signals.power.promql import GpuQueries
from controller.signals.power.promql_meter import MeterQueries
from controller.signals.power.specs import (
    AgentSpec,
    CsvMeterSpec,
    CsvSpec,
    DcgmSpec,
    GpuSpec,
    MeterSpec,
    NvmlSpec,
    PowerSpecs,
    PromqlMeterSpec,
    PromqlSpec,
    ZeusdSpec,
)
from router.settings import Group, Name, Port

_SITE_FLOOR_W = 200.0
"""Difference of meter and GPUs that never counts: fans and hosts vary by as much."""
_W_PER_UNIT = {"W": 1.0, "kW": 1e3, "MW": 1e6}
_J_PER_UNIT = {"J": 1.0, "Wh": 3.6e3, "kWh": 3.6e6, "MWh": 3.6e9}
PowerUnit = Literal["W", "kW", "MW"]
EnergyUnit = Literal["J", "Wh", "kWh", "MWh"]
Frac = Annotated[float, Field(ge=0, le=0.5)]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.username is not None or parts.password is not None:
        raise ValueError("no password belongs into an address; write user and token_file")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is no address; write http://HOST:PORT")
    return value


def _check_zeusd_url(value: str) -> str:
    if value.startswith("unix:"):
        if not value.removeprefix("unix:").startswith("/"):
            raise ValueError(f"{value!r} is no socket; write unix:/run/zeusd/zeusd.sock")
        return value
    return _check_url(value)


Url = Annotated[str, AfterValidator(_check_url)]
ZeusdUrl = Annotated[str, AfterValidator(_check_zeusd_url)]


class _Source(Group):
    """What all sources have."""

    name: Name | None = None
    """What it is called in metrics and messages. Absent: its kind, and a number from the second one on."""


class _HttpSource(_Source):
    """What sources over HTTP have."""

    token_file: Path | None = None
    """File with a bearer token, or with the password of `user`; followed when it is replaced."""
    user: str | None = None
    """Name for HTTP basic authentication."""
    ca_file: Path | None = None
    """PEM file with the authorities that may have issued the server's certificate. Absent: those of the system."""
    certificate_file: Path | None = None
    """PEM file with the certificate that is shown to the server (mutual TLS)."""
    key_file: Path | None = None
    """PEM file with its key, not encrypted."""

    @model_validator(mode="after")
    def _whole(self) -> _HttpSource:
        if (self.certificate_file is None) is not (self.key_file is None):
            raise ValueError("certificate_file and key_file go together; write both or neither")
        if self.user is not None and self.token_file is None:
            raise ValueError("user needs token_file, the file with its password")
        return self

    def http(self, timeout_s: float) -> HttpOptions:
        """How it is reached."""
        return HttpOptions(
            token_file=self.token_file,
            user=self.user,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
            timeout_s=timeout_s,
        )


class DcgmSettings(_HttpSource):
    """dcgm-exporters, read at their own addresses."""

    kind: Literal["dcgm"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """Metrics addresses, e.g. http://10.0.0.7:9400/metrics."""
    power_metric: Text = POWER
    """Gauge in W, where a relabelling has renamed it."""
    energy_metric: Text = ENERGY
    """Counter in mJ, where a relabelling has renamed it."""
    uuid_labels: Annotated[tuple[Text, ...], Field(min_length=1)] = UUID_LABELS
    """Labels that may hold the UUID; the first one present counts."""

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        names = DcgmNames(self.power_metric, self.energy_metric, self.uuid_labels)
        return DcgmSpec(self.urls, names, self.http(timeout_s))


class PromqlSettings(_HttpSource):
    """A Prometheus that scrapes dcgm-exporters."""

    kind: Literal["promql"]
    url: Url
    """Its address, e.g. http://prometheus:9090."""
    power_query: Text | None = f"{POWER}[1m]"
    """Power by GPU in W; null asks for none. A range selector keeps the samples' own times."""
    energy_query: Text | None = f"{ENERGY}[1m]"
    """Energy counter by GPU in mJ; null asks for none."""
    time_query: Text | None = None
    """Time of each GPU's last sample, s since the epoch. Needed where the queries are no range selectors, e.g.
    max by (UUID) (timestamp(DCGM_FI_DEV_POWER_USAGE))."""
    uuid_labels: Annotated[tuple[Text, ...], Field(min_length=1)] = UUID_LABELS
    """Labels that may hold the UUID; the first one present counts."""

    @model_validator(mode="after")
    def _asks(self) -> PromqlSettings:
        queries = [query for query in (self.power_query, self.energy_query) if query]
        if not queries:
            raise ValueError("one of power_query and energy_query is needed")
        _refuse_lost_times(queries, self.time_query)
        return self

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        queries = GpuQueries(self.power_query, self.energy_query, self.time_query, self.uuid_labels)
        return PromqlSpec(self.url, queries, self.http(timeout_s))


class NvmlSettings(_Source):
    """NVML on the controller's own machine."""

    kind: Literal["nvml"]
    interval_s: Annotated[float, Field(ge=0.1, le=1.0)] = 0.2
    """Time between two polls."""

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return NvmlSpec(self.interval_s)


class AgentSettings(_HttpSource):
    """Node agents: `wattroute agent` on the machines with GPUs."""

    kind: Literal["agent"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """Addresses of the agents."""

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return AgentSpec(self.urls, self.http(timeout_s))


class ZeusdSettings(_HttpSource):
    """A zeusd, the daemon of the Zeus project."""

    kind: Literal["zeusd"]
    url: ZeusdUrl
    """http://HOST:4938, or unix:/PATH of its socket."""
    gpu_uuids: Annotated[tuple[Text, ...], Field(min_length=1)]
    """UUIDs of its GPUs in the order of their indices, as nvidia-smi -L prints them: zeusd knows only the index."""

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return ZeusdSpec(self.url, self.gpu_uuids, self.http(timeout_s))


class _Recording(_Source):
    """A recording in CSV, replayed."""

    path: Path
    """The file; its columns are in docs/reference/power.md."""
    data_start: datetime | None = None
    """Time in the file that the start of the controller is mapped to, with its zone. Absent: the first row's."""
    speed: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Seconds in the file per second."""

    @model_validator(mode="after")
    def _zoned(self) -> _Recording:
        if self.data_start is not None and self.data_start.tzinfo is None:
            raise ValueError(f"data_start {self.data_start.isoformat()} has no time zone; write Z behind it for UTC")
        return self

    def times(self) -> ReplayTimes:
        """How the clock maps onto the file."""
        return ReplayTimes(None if self.data_start is None else self.data_start.timestamp(), self.speed)


class CsvGpuSettings(_Recording):
    """A recording of GPU power."""

    kind: Literal["csv"]

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return CsvSpec(self.path, self.times())


GpuPowerSettings = Annotated[
    DcgmSettings | PromqlSettings | NvmlSettings | AgentSettings | ZeusdSettings | CsvGpuSettings,
    Field(discriminator="kind"),
]


class PromqlMeterSettings(_HttpSource):
    """The site's meter, scraped by a Prometheus."""

    kind: Literal["promql"]
    url: Url
    """Its address, e.g. http://prometheus:9090."""
    power_query: Text
    """Power at the metering point: one series, e.g. site_power_kw{meter="main"}[1m]."""
    unit: PowerUnit
    """Unit of that power; a meter that counts kW is off by a thousand otherwise."""
    positive: Literal["import", "export"] = "import"
    """Which direction the meter counts as positive."""
    time_query: Text | None = None
    """Time of its last sample, s since the epoch; needed where `power_query` is no range selector."""
    energy_query: Text | None = None
    """Counter of the energy imported."""
    energy_unit: EnergyUnit = "kWh"
    """Unit of that counter."""

    @model_validator(mode="after")
    def _timed(self) -> PromqlMeterSettings:
        _refuse_lost_times([self.power_query], self.time_query)
        return self

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        queries = MeterQueries(
            power=self.power_query,
            energy=self.energy_query,
            time=self.time_query,
            w_per_unit=_signed(self.unit, self.positive),
            j_per_unit=_J_PER_UNIT[self.energy_unit],
        )
        return PromqlMeterSpec(self.url, queries, self.http(timeout_s))


class RegisterSettings(Group):
    """Where a number stands in a Modbus device."""

    address: Annotated[int, Field(ge=0, le=65_535)]
    """Address of its first register, counted from 0: where a manual writes 40001 or counts from 1, write one less."""
    register_kind: Literal["holding", "input"] = "holding"
    """Function 3 reads holding registers, function 4 input registers."""
    type: RegisterType = "float32"
    """Type of the number."""
    word_order: Literal["big", "little"] = "big"
    """big: the first register is the most significant one."""
    scale: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    """What a 1 in the register stands for, in the unit of the number: 0.1 where the meter counts tenths."""

    def register(self, per_unit: float) -> Register:
        """The same, with the factor to W or J."""
        return Register(self.address, self.register_kind, self.type, self.word_order, self.scale * per_unit)


class ModbusMeterSettings(_Source):
    """The site's meter over Modbus TCP (extra `modbus`)."""

    kind: Literal["modbus"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Address of the meter or of its gateway."""
    port: Port = 502
    """Its port."""
    unit_id: Annotated[int, Field(ge=0, le=255)] = 1
    """Number of the device behind the gateway."""
    power: RegisterSettings
    """Where its power stands."""
    unit: PowerUnit
    """Unit of that power."""
    positive: Literal["import", "export"] = "import"
    """Which direction the meter counts as positive."""
    energy: RegisterSettings | None = None
    """Where its counter of imported energy stands."""
    energy_unit: EnergyUnit = "kWh"
    """Unit of that counter."""

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        return ModbusMap(
            host=self.host,
            power=self.power.register(_signed(self.unit, self.positive)),
            port=self.port,
            unit_id=self.unit_id,
            energy=None if self.energy is None else self.energy.register(_J_PER_UNIT[self.energy_unit]),
            timeout_s=timeout_s,
        )


class CsvMeterSettings(_Recording):
    """A recording of the site's meter."""

    kind: Literal["csv"]

    def spec(self, timeout_s: float) -> MeterSpec:
        """What it is opened from."""
        return CsvMeterSpec(self.path, self.times())


MeterSettings = Annotated[PromqlMeterSettings | ModbusMeterSettings | CsvMeterSettings, Field(discriminator="kind")]


class PowerLadderSettings(Group):
    """Margins and times of the ladder of power sources; see docs/reference/power.md."""

    nvml_margin_frac: Frac = 0.05
    """Share of a limit kept free while the boards' own sensors tell the power: they are up to 5 % off
    (arXiv 2312.02741). A meter keeps `plan.margin_frac`; no rung keeps less than a surer one."""
    dcgm_margin_frac: Frac = 0.07
    """The same while the boards' figures come exported: the sensors' 5 %, and 2 % for what changes in their age."""
    model_margin_frac: Frac = 0.10
    """The same while nothing is measured: the curves are some 5 % off, and what else draws power is not seen."""
    hold_s: Annotated[float, Field(ge=0, le=3600)] = 15.0
    """How long a better source must have been fresh before it is taken again, against flapping."""
    conflict_frac: Annotated[float, Field(gt=0, le=1)] = 0.10
    """Share by which two sources may differ on a GPU: twice the 5 % that sensors are off."""
    site_conflict_frac: Annotated[float, Field(gt=0, le=1)] | None = 0.15
    """Share by which the meter and the sum of the GPUs may differ; the sum rests on `site.pue` and `site.aux_w`. null
    compares them never: for a meter that nets photovoltaics, a battery or other loads."""
    alarm_after_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    """How long they must disagree before an alarm is raised; the higher value counts at once."""

    def rules(self, stale_s: float) -> LadderRules:
        """The ladder's rules."""
        return LadderRules(
            stale_s=stale_s,
            hold_s=self.hold_s,
            alarm_after_s=self.alarm_after_s,
            gpus=ConflictRules(frac=self.conflict_frac),
            site=None if self.site_conflict_frac is None else ConflictRules(self.site_conflict_frac, _SITE_FLOOR_W),
        )


def power_specs(sources: tuple[Any, ...], meters: tuple[Any, ...], rules: LadderRules, timeout_s: float) -> PowerSpecs:
    """What the sources are opened from, each with its name.

    Raises:
        ValueError: two are called the same.
    """
    names = _names([*sources, *meters])
    specs = [source.spec(timeout_s) for source in (*sources, *meters)]
    named = list(zip(names, specs, strict=True))
    return PowerSpecs(tuple(named[: len(sources)]), tuple(named[len(sources) :]), rules)


def refuse_gpus(uuids: Sequence[str], sources: Sequence[object]) -> None:
    """Look at the UUIDs that the pools name.

    Raises:
        ValueError: a GPU is named twice, which would count it twice; or none of a zeusd's is named, which was then
            given the wrong ones.
    """
    twins = sorted(uuid for uuid, count in Counter(uuids).items() if count > 1)
    if twins:
        raise ValueError(f"plan.pools.*.gpu_uuids: {', '.join(map(repr, twins[:3]))} appears more than once")
    for source in sources:
        if uuids and isinstance(source, ZeusdSettings) and not set(source.gpu_uuids) & set(uuids):
            raise ValueError(
                f"signals.power: none of the gpu_uuids of {source.url} is in plan.pools.*.gpu_uuids; write both as "
                "nvidia-smi -L prints them"
            )


def _names(sources: list[Any]) -> list[str]:
    names: list[str] = []
    for place, source in enumerate(sources):
        number = 1 + sum(other.kind == source.kind for other in sources[:place])
        names.append(source.name or (source.kind if number == 1 else f"{source.kind}-{number}"))
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"signals: {', '.join(map(repr, twins))} names more than one source of power; set name")
    return names


def _signed(unit: str, positive: str) -> float:
    return _W_PER_UNIT[unit] if positive == "import" else -_W_PER_UNIT[unit]


def _refuse_lost_times(queries: list[str], time_query: str | None) -> None:
    lost = [query for query in queries if not has_sample_times(query)]
    if lost and time_query is None:
        raise ValueError(
            f"the answer to {lost[0]!r} has the time of the query, not of the samples: write a range selector such as "
            "metric[1m], or add time_query with their times"
        )
