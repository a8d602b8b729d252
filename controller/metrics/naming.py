"""How metrics of the controller are named and labelled: one prefix, bounded labels, NaN for what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

PREFIX = "wattroute_controller_"


class NamedMetrics:
    """Makes metrics on a registry, each under the prefix."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A gauge; one without labels is NaN until it is set."""
        made = Gauge(PREFIX + name, text, labels, registry=self._registry)
        if not labels:
            made.set(math.nan)
        return made

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """A counter; one without labels is zero until it is counted."""
        return Counter(PREFIX + name, text, labels, registry=self._registry)


def known(name: str, names: Iterable[str]) -> str:
    """The label of a name: itself where it is one of a closed set, else `other`."""
    return name if name in names else "other"


def number(value: float | None) -> float:
    """The value of a gauge; NaN where there is none."""
    return math.nan if value is None else value
