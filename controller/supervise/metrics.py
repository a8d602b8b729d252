"""The supervisor's figures as Prometheus text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.supervise.engine import Engine
from controller.supervise.policy import Phase

PREFIX = "wattroute_supervisor_"
_LABELS = ("instance_id", "pool_id")


_GAUGES: dict[str, tuple[str, Callable[[Engine], bool]]] = {
    "instance_wanted": ("1 where an engine is to run.", lambda engine: engine.life.wanted),
    "instance_healthy": ("1 where its last /health was good.", lambda engine: engine.is_healthy),
    "instance_fault": ("1 where an engine has a fault, as GET /instances tells.", lambda engine: bool(engine.fault)),
    "log_fault": ("1 where the log of an engine is not kept.", lambda engine: bool(engine.log_fault)),
}


class _Engines(Collector):
    def __init__(self, engines: Iterable[Engine]) -> None:
        self._engines = tuple(engines)

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            f"{PREFIX}instance_state", "1 for the state that an engine is in.", labels=(*_LABELS, "state")
        )
        families = {name: GaugeMetricFamily(PREFIX + name, told, labels=_LABELS) for name, (told, _) in _GAUGES.items()}
        restarts = CounterMetricFamily(
            f"{PREFIX}instance_restarts", "Starts of an engine after it had crashed.", labels=_LABELS
        )
        for engine in self._engines:
            labels = (engine.spec.instance_id, engine.spec.pool_id)
            for phase in Phase:
                state.add_metric((*labels, phase.value), float(engine.life.phase is phase))
            for name, (_, value) in _GAUGES.items():
                families[name].add_metric(labels, float(value(engine)))
            restarts.add_metric(labels, engine.record.restarts)
        yield state
        yield from families.values()
        yield restarts


def exposition(engines: Iterable[Engine]) -> bytes:
    """The text that `GET /metrics` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Engines(engines))
    return generate_latest(registry)
