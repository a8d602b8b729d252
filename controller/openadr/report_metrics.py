"""Metrics of the reports and notifications of VTNs; the label is the VTN's configured name."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.openadr.metrics import PREFIX

OUTCOMES = ("sent", "refused", "gone", "failed", "dropped")
QUALITIES = ("OK", "ESTIMATED", "MISSING", "BAD")


class ReportMetrics:
    """The families of all VTNs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, ["vtn", *labels], registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(PREFIX + name, text, ["vtn"], registry=registry)

        self.made = counter("reports_made", "Reports that were made.")
        self.values = counter("report_values", "Values of reports that were made, by quality.", "quality")
        self.outcomes = counter("reports", "What became of reports, by outcome of each try.", "outcome")
        self.unasked = counter("report_refusals", "Reports asked for that cannot be made.")
        self.waiting = gauge("reports_waiting", "Reports that wait to be sent.")

    def show(self, vtn: str) -> None:
        """Let the series of a VTN be there from the start."""
        for outcome in OUTCOMES:
            self.outcomes.labels(vtn, outcome)
        for quality in QUALITIES:
            self.values.labels(vtn, quality)
        self.made.labels(vtn)
        self.unasked.labels(vtn)
        self.waiting.labels(vtn)
