"""Metrics of the work that goes on in the background."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from controller.background import Work, Works
from controller.metrics.naming import PREFIX


class BackgroundMetrics(Collector):
    """Reads at each scrape how often work has failed; the label is the kind of work."""

    def __init__(self, registry: CollectorRegistry, works: Works) -> None:
        self._works = works
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The family; kinds that have never failed are told with 0."""
        family = CounterMetricFamily(
            f"{PREFIX}background_failures", "Failures of background work, which was begun again.", labels=["work"]
        )
        for work in Work:
            family.add_metric([work.value], self._works.failures[work])
        yield family
