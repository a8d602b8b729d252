"""Metrics of what canaries tell of the quality of pools' answers; labels are the site's, or of closed sets."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from controller.metrics.naming import NamedMetrics, number
from controller.signals.quality_book import QualityReport

OUTCOMES = ("agreed", "differed", "kept", "failed")
PAUSES = ("off", "budget", "no_target", "no_reference")


class CanaryMetrics:
    """Holds the metrics; `take` only sets values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        gauge = NamedMetrics(registry).gauge
        self._told: set[str] = set()
        self._agreement = gauge(
            "canary_agreement_frac",
            "Share of a pool's latest canaries whose answer was the reference's, with its interval of 95 %.",
            ("pool", "bound"),
        )
        self._suspicion = gauge(
            "canary_suspicion_frac", "How near a pool is to an alarm, 1 is one, on a logarithmic scale.", ("pool",)
        )
        self._barred = gauge("barred", "1 for a pool or an instance that may not serve.", ("subject",))
        self._canaries = gauge("canaries", "Canaries since the start, by what came of them.", ("outcome",))
        self._canary_j = gauge("canary_energy_joules", "Energy estimated for all canaries since the start.")
        self._doubted = gauge("canary_reference_doubted", "1 while all differ from a reference nobody agreed with.")
        self._canary_paused = gauge("canary_paused", "1 for the reason why no canary is sent.", ("reason",))

    def take(self, report: QualityReport) -> None:
        """Set what canaries tell."""
        for told in report.pools:
            share = told.agreement
            for bound, value in (("mean", share.frac), ("low", share.low_frac), ("high", share.high_frac)):
                self._agreement.labels(told.pool_id, bound).set(number(value))
            self._suspicion.labels(told.pool_id).set(told.suspicion_frac)
        names = {bar.name for bar in report.barred}
        for name in self._told - set(report.names):
            self._barred.remove(name)
        self._told = set(report.names)
        for name in report.names:
            self._barred.labels(name).set(name in names)
        counts = report.counts
        for outcome in OUTCOMES:
            self._canaries.labels(outcome).set(getattr(counts, outcome))
        self._canary_j.set(counts.spent_j)
        self._doubted.set(report.is_reference_doubted)
        for reason in PAUSES:
            self._canary_paused.labels(reason).set(counts.paused == reason)
