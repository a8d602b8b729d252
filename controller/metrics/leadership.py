"""Metrics of the election: who leads, whether anybody could take over, and what is handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.metrics.naming import PREFIX, number


@dataclass(frozen=True, slots=True)
class LeadershipFigures:
    """What is told.

    Attributes:
        has_standby: None where that is not known, as on a standby.
        fails: whether the lease, or what is shared, cannot be had.
        takeovers: how often this controller began to lead.
        handover_bytes: of the last handover written; None before.
    """

    is_leader: bool
    has_standby: bool | None
    fails: bool
    takeovers: int
    handover_bytes: int | None


class LeadershipMetrics(Collector):
    """Reads them at each scrape; without an election there are none."""

    def __init__(self, registry: CollectorRegistry, read: Callable[[], LeadershipFigures]) -> None:
        self._read = read
        registry.register(self)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: names are known from what is collected."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families."""
        told = self._read()
        for name, text, value in (
            ("leader", "1 on the controller that leads, 0 on one that stands by.", float(told.is_leader)),
            (
                "standby_present",
                "On the leader: whether a standby has been seen within 20 s.",
                number(None if told.has_standby is None else float(told.has_standby)),
            ),
            ("election_failing", "1 while the lease, or what controllers share, cannot be had.", float(told.fails)),
            ("handover_bytes", "Size of the last handover written.", number(told.handover_bytes)),
        ):
            yield GaugeMetricFamily(PREFIX + name, text, value)
        yield CounterMetricFamily(f"{PREFIX}takeovers", "Times that this controller began to lead.", told.takeovers)
