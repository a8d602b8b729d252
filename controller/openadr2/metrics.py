"""Metrics of the VTNs of OpenADR 2.0b that are followed; the label is the VTN's configured name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

PREFIX = "wattroute_controller_openadr2_"


class Ven2Metrics:
    """The families of all VTNs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.heard = Gauge(f"{PREFIX}heard_timestamp_seconds", "When a VTN last answered.", ["vtn"], registry=registry)
        self.registered = Gauge(
            f"{PREFIX}registered", "Whether the VEN is registered with a VTN.", ["vtn"], registry=registry
        )
        self.events = Counter(f"{PREFIX}events", "Events, by what was answered.", ["vtn", "answer"], registry=registry)

    def show(self, vtn: str) -> None:
        """Let the series of a VTN be there from the start."""
        self.registered.labels(vtn).set(0)
        for answer in ("optIn", "optOut"):
            self.events.labels(vtn, answer)
