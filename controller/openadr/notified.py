"""Whether a VTN tells us of changes, by each way: in a metric, and in the log when that changes."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.openadr.metrics import PREFIX

log = logging.getLogger(__name__)

WAYS = ("webhook", "mqtt")


class NotifiedMetrics:
    """The families of all VTNs; labels are the configured name, the way, and a few outcomes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stands = Gauge(
            f"{PREFIX}notified",
            "Whether a VTN tells of changes by this way (1), or is followed by polling alone (0).",
            ["vtn", "way"],
            registry=registry,
        )
        self.received = Counter(
            f"{PREFIX}notifications",
            "Notifications, by outcome.",
            ["vtn", "way", "outcome"],
            registry=registry,
        )


class Notified:
    """One way of one VTN."""

    def __init__(self, metrics: NotifiedMetrics, vtn: str, way: str) -> None:
        self._metrics = metrics
        self._vtn, self._way = vtn, way
        self._failure: str | None = ""
        self._gauge = metrics.stands.labels(vtn, way)
        self._gauge.set(0)

    def count(self, outcome: str) -> None:
        """A request or a message came to this."""
        self._metrics.received.labels(self._vtn, self._way, outcome).inc()

    def stands(self) -> None:
        """The VTN tells of changes."""
        if self._failure is not None:
            log.info("notifications stand", extra={"vtn": self._vtn, "way": self._way})
        self._failure = None
        self._gauge.set(1)

    def lost(self, reason: str) -> None:
        """It does not: polling is what is left."""
        if reason != self._failure:
            extra = {"vtn": self._vtn, "way": self._way, "reason": reason}
            log.warning("no notifications: the VTN is followed by polling alone", extra=extra)
        self._failure = reason
        self._gauge.set(0)
