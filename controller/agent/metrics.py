"""The agent's figures as Prometheus text.

The names are the agent's own: where a dcgm-exporter runs beside it, `sum(DCGM_FI_DEV_POWER_USAGE)` in existing
dashboards and alerts would count every GPU twice if the agent used that name as well. Where there is none, an operator
asks for dcgm-exporter's names too, and whatever reads them goes on to work.

A GPU that is missing has no power and no energy, for missing is not zero; `wattroute_agent_gpu_up` says it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.agent.hub import Hub
from controller.agent.identity import Identity
from controller.model.observation import Reading
from controller.signals.power.nvml_reader import GpuState, NvmlSnapshot

PREFIX = "wattroute_agent_"
DCGM_POWER = "DCGM_FI_DEV_POWER_USAGE"
DCGM_ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
_EVENTS = ("reset", "wrap", "jump", "clock", "late", "step_down", "reopen", "lost")
"""All are shown from the start, so that a rate sees the first one."""
_GPU_LABELS = ("uuid", "model", "node")
_DCGM_LABELS = ("UUID", "modelName", "Hostname")


def exposition(
    snapshot: NvmlSnapshot, hub: Hub, identity: Identity, *, node: str, now_s: float, dcgm_names: bool
) -> bytes:
    """Prometheus text of a snapshot; labels are bounded by the GPUs that a snapshot can hold."""
    registry = CollectorRegistry()
    registry.register(_Families([*_gpus(snapshot, node, now_s), *_agent(snapshot, hub), *_credentials(identity)]))
    if dcgm_names:
        registry.register(_Families(_dcgm(snapshot, node)))
    return generate_latest(registry)


class _Families(Collector):
    """Metrics that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        return iter(self._families)


def _gpus(snapshot: NvmlSnapshot, node: str, now_s: float) -> list[Metric]:
    power = GaugeMetricFamily(f"{PREFIX}gpu_power_watts", "Mean power over two seconds.", labels=_GPU_LABELS)
    energy = CounterMetricFamily(f"{PREFIX}gpu_energy_joules", "Energy; it only grows.", labels=_GPU_LABELS)
    age = GaugeMetricFamily(f"{PREFIX}gpu_reading_age_seconds", "Age of the reading.", labels=_GPU_LABELS)
    up = GaugeMetricFamily(f"{PREFIX}gpu_up", "1 if the GPU could be read, else 0.", labels=_GPU_LABELS)
    method = GaugeMetricFamily(
        f"{PREFIX}gpu_source", "1 for how the power came about.", labels=(*_GPU_LABELS, "source")
    )
    for gpu in snapshot.gpus:
        labels, reading = (gpu.uuid, gpu.name, node), gpu.reading
        up.add_metric(labels, float(isinstance(reading, Reading)))
        if isinstance(reading, Reading):
            power.add_metric(labels, reading.value_w)
            age.add_metric(labels, max(0.0, now_s - reading.observed_at_s))
            method.add_metric((*labels, reading.source), 1.0)
            if reading.energy_j is not None:
                energy.add_metric(labels, reading.energy_j)
    return [power, energy, age, up, method]


def _agent(snapshot: NvmlSnapshot, hub: Hub) -> list[Metric]:
    nvml = GaugeMetricFamily(f"{PREFIX}nvml_up", "1 if NVML is open, else 0.", value=float(snapshot.driver is not None))
    driver = GaugeMetricFamily(f"{PREFIX}driver_info", "1 for the driver's version.", labels=("version",))
    if snapshot.driver is not None:
        driver.add_metric((snapshot.driver,), 1.0)
    events = CounterMetricFamily(
        f"{PREFIX}events",
        "The unusual: a counter that was reset, a GPU that was lost, a step down to a lesser way of measuring.",
        labels=("event",),
    )
    for event in _EVENTS:
        events.add_metric((event,), snapshot.events.get(event, 0))
    followers = GaugeMetricFamily(f"{PREFIX}streams", "Streams being served.", value=hub.followers)
    refused = CounterMetricFamily(f"{PREFIX}streams_refused", "Streams beyond the most allowed.", value=hub.refused)
    cut_off = CounterMetricFamily(
        f"{PREFIX}streams_cut_off", "Streams ended as their reader did not read.", value=hub.cut_off
    )
    return [nvml, driver, events, followers, refused, cut_off]


def _credentials(identity: Identity) -> list[Metric]:
    return [
        CounterMetricFamily(
            f"{PREFIX}credentials_renewed", "Changed files of token or certificate taken.", value=identity.renewed
        ),
        CounterMetricFamily(
            f"{PREFIX}credentials_refused", "Changed files that could not be used.", value=identity.refused
        ),
    ]


def _dcgm(snapshot: NvmlSnapshot, node: str) -> list[Metric]:
    """The same in dcgm-exporter's names, labels and units; its counter has no `_total` in its name."""
    power = GaugeMetricFamily(DCGM_POWER, "Power draw (in W).", labels=_DCGM_LABELS)
    energy = Metric(DCGM_ENERGY, "Total energy consumption (in mJ).", "unknown")
    for gpu in snapshot.gpus:
        if isinstance(gpu.reading, Reading):
            _add_dcgm(power, energy, gpu, gpu.reading, node)
    return [power, energy]


def _add_dcgm(power: GaugeMetricFamily, energy: Metric, gpu: GpuState, reading: Reading, node: str) -> None:
    labels = (gpu.uuid, gpu.name, node)
    power.add_metric(labels, reading.value_w)
    if reading.energy_j is not None:
        energy.add_sample(DCGM_ENERGY, dict(zip(_DCGM_LABELS, labels, strict=True)), round(reading.energy_j * 1e3))
