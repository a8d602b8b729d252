"""Sources of GPU power: `signals.power`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from controller.settings.power.source import HttpSource, Recording, Source, Text, Url, check_url, refuse_lost_times
from controller.signals.power.dcgm import ENERGY, POWER, UUID_LABELS, DcgmNames
from controller.signals.power.promql import GpuQueries
from controller.signals.power.specs import AgentSpec, CsvSpec, DcgmSpec, GpuSpec, NvmlSpec, PromqlSpec, ZeusdSpec


def _check_zeusd_url(value: str) -> str:
    if value.startswith("unix:"):
        if not value.removeprefix("unix:").startswith("/"):
            raise ValueError(f"{value!r} is no socket; write unix:/run/zeusd/zeusd.sock")
        return value
    return check_url(value)


ZeusdUrl = Annotated[str, AfterValidator(_check_zeusd_url)]


class DcgmSettings(HttpSource):
    """dcgm-exporters, read at their own addresses."""

    kind: Literal["dcgm"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=4096)]
    """Metrics addresses, e.g. http://10.0.0.7:9400/metrics."""
    power_metric: Text = POWER
    """Gauge in W, where a relabelling has renamed it."""
    energy_metric: Text = ENERGY
    """Counter in mJ, where a relabelling has renamed it."""
    uuid_labels: Annotated[tuple[Text, ...], Field(min_length=1)] = UUID_LABELS
    """Labels that may hold the UUID; the first one present counts."""

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return self.urls

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        names = DcgmNames(self.power_metric, self.energy_metric, self.uuid_labels)
        return DcgmSpec(self.urls, names, self.http(timeout_s))


class PromqlSettings(HttpSource):
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
        refuse_lost_times(queries, self.time_query)
        return self

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return (self.url,)

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        queries = GpuQueries(self.power_query, self.energy_query, self.time_query, self.uuid_labels)
        return PromqlSpec(self.url, queries, self.http(timeout_s))


class NvmlSettings(Source):
    """NVML on the controller's own machine."""

    kind: Literal["nvml"]
    interval_s: Annotated[float, Field(ge=0.1, le=1.0)] = 0.2
    """Time between two polls."""

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return NvmlSpec(self.interval_s)


class AgentSettings(HttpSource):
    """Node agents: `wattroute agent` on the machines with GPUs."""

    kind: Literal["agent"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=4096)]
    """Addresses of the agents."""

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return self.urls

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return AgentSpec(self.urls, self.http(timeout_s))


class ZeusdSettings(HttpSource):
    """A zeusd, the daemon of the Zeus project."""

    kind: Literal["zeusd"]
    url: ZeusdUrl
    """http://HOST:4938, or unix:/PATH of its socket."""
    gpu_uuids: Annotated[tuple[Text, ...], Field(min_length=1)]
    """UUIDs of its GPUs in the order of their indices, as nvidia-smi -L prints them: zeusd knows only the index."""

    def addresses(self) -> tuple[str, ...]:
        """Where it is asked."""
        return (self.url,)

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return ZeusdSpec(self.url, self.gpu_uuids, self.http(timeout_s))


class CsvGpuSettings(Recording):
    """A recording of GPU power."""

    kind: Literal["csv"]

    def spec(self, timeout_s: float) -> GpuSpec:
        """What it is opened from."""
        return CsvSpec(self.path, self.times())


GpuPowerSettings = Annotated[
    DcgmSettings | PromqlSettings | NvmlSettings | AgentSettings | ZeusdSettings | CsvGpuSettings,
    Field(discriminator="kind"),
]
