"""Metrics of the VTNs that are followed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.openadr.follow import EventDesk

PREFIX = "wattroute_controller_openadr_"


class VenMetrics:
    """How one VTN is followed; the label is the VTN's configured name."""

    def __init__(self, registry: OpenAdrMetrics, vtn: str) -> None:
        self._polls = {outcome: registry.polls.labels(vtn, outcome) for outcome in ("answered", "failed")}
        self._refused = registry.refused.labels(vtn)
        self._events = registry.events.labels(vtn)
        self._skew = registry.skew.labels(vtn)
        self._failures = registry.failures.labels(vtn)
        self._answered = registry.answered.labels(vtn)
        self._registry, self._vtn = registry, vtn
        self._counted = 0
        self._ignored: dict[str, int] = {}

    def show(self, desk: EventDesk, skew_s: float | None, failures: int, now_s: float) -> None:
        """What a poll came to."""
        self._polls["failed" if failures else "answered"].inc()
        self._refused.inc(desk.told.refused - self._counted)
        self._counted = desk.told.refused
        for kind, count in desk.told.ignored.items():
            self._registry.ignored.labels(self._vtn, kind).inc(count - self._ignored.get(kind, 0))
            self._ignored[kind] = count
        self._events.set(len(desk.followed))
        self._failures.set(failures)
        if skew_s is not None:
            self._skew.set(skew_s)
        if not failures:
            self._answered.set(now_s)


class OpenAdrMetrics:
    """The families of all VTNs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(PREFIX + name, text, ["vtn"], registry=registry)

        self.polls = Counter(PREFIX + "polls", "Polls of a VTN, by outcome.", ["vtn", "outcome"], registry=registry)
        self.refused = Counter(
            PREFIX + "refused_events", "Messages of a VTN that were not followed.", ["vtn"], registry=registry
        )
        self.ignored = Counter(
            PREFIX + "ignored_payloads",
            "Events with a type of payload that is not followed, by the standard's types.",
            ["vtn", "payload_type"],
            registry=registry,
        )
        self.events = gauge("events", "Events of a VTN that are known.")
        self.failures = gauge("failures_in_a_row", "Polls of a VTN that failed since the last that did not.")
        self.answered = gauge("answered_timestamp_seconds", "When a VTN last answered in full.")
        self.skew = gauge("clock_skew_seconds", "Clock of a VTN less ours.")
