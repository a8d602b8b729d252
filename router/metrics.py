"""Exposition of a `Snapshot` in Prometheus' text format; built when scraped, so that counting costs nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from router.accounting import Histogram, Traffic
from router.ladder import TableState
from router.snapshot import INSTANCE_STATES, Snapshot

PREFIX = "wattroute_router_"
UNCLASSIFIED = "other"
"""Value of the label class_id for requests that name a class that is not configured."""

_TRAFFIC = ("class_id", "pool_id")
_INSTANCE = ("instance_id", "pool_id")


def expose(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """Body and content type that suit the scraper's Accept header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class SnapshotCollector(Collector):
    """Gives a snapshot to prometheus_client. Labels take values from the configuration and from fixed lists only."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metrics; see docs/reference/router.md."""
        yield from self._classes()
        yield from self._traffic()
        yield from self._instances()
        yield from self._table()
        yield from self._process()

    def _classes(self) -> Iterator[Metric]:
        requests = _counter("requests", "Requests accepted for routing.", ("class_id",))
        finished = _counter("finished", "Requests answered to the end.", ("class_id",))
        off = _counter("off_allocation", "Requests served by a pool without weight, as no other could.", ("class_id",))
        refused = _counter("refused", "Requests not served, by reason.", ("class_id", "reason"))
        queued = _gauge("queued", "Requests waiting for a slot.", ("class_id",))
        for counts in self._snapshot.classes:
            label = [counts.class_id]
            requests.add_metric(label, counts.requests)
            finished.add_metric(label, counts.finished)
            off.add_metric(label, counts.off_allocation)
            queued.add_metric(label, counts.queued)
            for reason, count in counts.refused.items():
                refused.add_metric([counts.class_id, reason], count)
        for reason, count in self._snapshot.unclassified.items():
            refused.add_metric([UNCLASSIFIED, reason], count)
        yield from (requests, finished, off, refused, queued)

    def _traffic(self) -> Iterator[Metric]:
        attempts = _counter("attempts", "Attempts at engines that ended, by outcome.", (*_TRAFFIC, "outcome"))
        degraded = _counter("degraded", "Attempts at less than the best precision the class may have.", _TRAFFIC)
        inputs = _counter("input_tokens", "Input tokens, as told by the engines or estimated.", _TRAFFIC)
        outputs = _counter("output_tokens", "Output tokens, as told by the engines or estimated.", _TRAFFIC)
        ttft = _histogram("ttft_seconds", "From a request's arrival to the first byte of its answer.")
        itl = _histogram("itl_seconds", "Mean time between the events of one stream.")
        duration = _histogram("duration_seconds", "From a request's arrival to the end of its answer.")
        for item in self._snapshot.traffic:
            labels = [item.class_id, item.pool_id]
            for outcome, count in item.outcomes.items():
                attempts.add_metric([*labels, outcome], count)
            degraded.add_metric(labels, item.degraded)
            inputs.add_metric(labels, item.input_tokens)
            outputs.add_metric(labels, item.output_tokens)
            _add_histograms(item, ttft=ttft, itl=itl, duration=duration)
        yield from (attempts, degraded, inputs, outputs, ttft, itl, duration)

    def _instances(self) -> Iterator[Metric]:
        in_flight = _gauge("in_flight", "Requests in flight on an instance.", _INSTANCE)
        cap = _gauge("max_in_flight", "Most requests that may be in flight on an instance.", _INSTANCE)
        draining = _gauge("instance_draining", "1 while an instance gets no new request.", _INSTANCE)
        state = _gauge("instance_state", "1 for the state an instance is in.", (*_INSTANCE, "state"))
        for instance in self._snapshot.instances:
            labels = [instance.instance_id, instance.pool_id]
            in_flight.add_metric(labels, instance.in_flight)
            cap.add_metric(labels, instance.max_in_flight)
            draining.add_metric(labels, float(instance.draining))
            for name in INSTANCE_STATES:
                state.add_metric([*labels, name], float(instance.state == name))
        yield from (in_flight, cap, draining, state)

    def _table(self) -> Iterator[Metric]:
        table = self._snapshot.table
        sequence = _gauge("table_sequence", "Sequence of the allocation table obeyed, -1 for static weights.")
        sequence.add_metric([], table.sequence)
        state = _gauge("table_state", "1 for the rung of the ladder the router stands on.", ("state",))
        for rung in TableState:
            state.add_metric([rung.value], float(table.state == rung.value))
        refused = _counter("tables_refused", "Allocation tables that were not obeyed, by reason.", ("reason",))
        for reason, count in table.refused.items():
            refused.add_metric([reason], count)
        unknown = _gauge("table_unknown_names", "Names in the table obeyed that the router does not know.")
        unknown.add_metric([], table.unknown_names)
        yield from (sequence, state, refused, unknown)
        if table.issued_at_s is not None:  # no table has no age: absent, not zero
            age = _gauge("table_age_seconds", "Time since the table obeyed was issued.")
            age.add_metric([], max(0.0, self._snapshot.now_s - table.issued_at_s))
            yield age

    def _process(self) -> Iterator[Metric]:
        retries = _counter("retries", "Attempts tried again elsewhere, by the outcome that caused it.", ("reason",))
        for reason, count in self._snapshot.retries.items():
            retries.add_metric([reason], count)
        yield retries
        ready = _gauge("ready", "1 while any instance can take a request.")
        ready.add_metric([], float(self._snapshot.ready))
        yield ready
        for name, total in sorted(self._snapshot.counters.items()):
            counter = _counter(name, f"{name.replace('_', ' ').capitalize()}.")
            counter.add_metric([], total)
            yield counter
        for name, value in sorted(self._snapshot.gauges.items()):
            gauge = _gauge(name, f"{name.replace('_', ' ').capitalize()}.")
            gauge.add_metric([], value)
            yield gauge


def _counter(name: str, text: str, labels: tuple[str, ...] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(PREFIX + name, text, labels=_TRAFFIC)


def _add_histograms(item: Traffic, **families: HistogramMetricFamily) -> None:
    for name, family in families.items():
        histogram: Histogram = getattr(item, name)
        family.add_metric([item.class_id, item.pool_id], _buckets(histogram), histogram.total)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound, as Prometheus has them."""
    cumulated, running = [], 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        running += count
        cumulated.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(running)))
    return cumulated
