"""Exposition of a `Snapshot` in Prometheus' text format; built when scraped, so that counting costs nothing more.

What is measured follows OpenTelemetry's metrics of generative AI servers (time to first token, time per output token,
duration, tokens), by class and pool. Names carry their unit; labels take values from the configuration and from fixed
lists only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from router.accounting import Traffic
from router.histogram import Histogram
from router.ladder import TableState
from router.redis_rights import Part
from router.snapshot import INSTANCE_STATES, LOADS_STATES, DiscoveryView, InstanceView, LoadsView, RedisView, Snapshot
from router.version import VERSION

PREFIX = "wattroute_router_"
UNCLASSIFIED = "other"
"""Value of the label class_id for requests that name a class that is not configured."""

_CLASS = ("class_id",)
_TRAFFIC = ("class_id", "pool_id")
_INSTANCE = ("instance_id", "pool_id")
_POOL = ("pool_id",)
_TENANT = ("tenant",)

COUNTERS = {
    "access_log_lines_dropped": "Lines of the access log that were lost, because they were not written fast enough.",
    "access_log_lines_written": "Lines of the access log.",
    "client_disconnects": "Clients that left before they had their answer.",
    "connections": "Client connections accepted.",
    "energy_told": "Requests whose clients asked for their energy and were told it.",
    "energy_unknown": "Requests whose clients asked for their energy, which was not known.",
    "spans_dropped": "Spans that were lost, because the collector did not take them.",
    "spans_written": "Spans that the collector took.",
    "tls_certificates_refused": "Changed certificates that could not be used, so that the old ones stay.",
    "tls_certificates_renewed": "Changed certificates that were taken.",
    "tls_handshakes_failed": "TLS handshakes on the public port that failed, were cut or found no room.",
    "worker_restarts": "Worker processes that ended and were started again.",
}
GAUGES = {
    "caps_share_frac": "Share of instances' in-flight caps that is this router's; the other routers have the rest.",
    "routers_known": "Routers that tell of themselves through Redis, or are told of by the controller, with this one.",
    "energy_rates_age_seconds": "Time since the energy rates in force were issued; the largest of the workers.",
    "event_loop_lag_seconds": "How late the event loop last ran; the largest of the workers.",
    "event_loop_lag_max_seconds": "The most of that within the last minute.",
    "tls_certificate_expires_at_seconds": "When the first of the router's own certificates expires.",
}
SUMS = {
    "client_connections": "Client connections that stand.",
    "held_body_bytes": "Bytes of request bodies that are held.",
    "resident_memory_bytes": "Memory of all processes of the router.",
    "workers": "Worker processes that serve.",
}


def expose(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """Body and content type that suit the scraper's Accept header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(snapshot))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class SnapshotCollector(Collector):
    """Gives a snapshot to prometheus_client."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """All metrics; see docs/reference/router.md."""
        snapshot = self._snapshot
        yield from _classes(snapshot)
        yield from _traffic(snapshot.traffic)
        yield from _instances(snapshot.instances)
        yield from _table(snapshot)
        yield from _process(snapshot)
        yield from _config(snapshot)
        if snapshot.loads is not None:
            yield from _loads(snapshot.loads)
        if snapshot.redis is not None:
            yield from _redis(snapshot.redis)
        if snapshot.tenants:
            yield from _tenants(snapshot)
        if snapshot.discovery:
            yield from _discovery(snapshot.discovery)


def _classes(snapshot: Snapshot) -> Iterator[Metric]:
    requests = _counter("requests", "Requests accepted for routing.", _CLASS)
    finished = _counter("finished", "Requests answered to the end.", _CLASS)
    off = _counter("off_allocation", "Requests served by a pool without weight, as no other could.", _CLASS)
    last_means = _counter("last_means", "Attempts at ejected instances that answer probes, as no other could.", _CLASS)
    refused = _counter("refused", "Requests not served, by reason.", (*_CLASS, "reason"))
    active = _gauge("active_requests", "Requests that hold a slot on an instance.", _CLASS)
    queued = _gauge("queued", "Requests waiting for a slot.", _CLASS)
    queued_bytes = _gauge("queued_bytes", "Bytes of the bodies of requests waiting for a slot.", _CLASS)
    for counts in snapshot.classes:
        label = [counts.class_id]
        requests.add_metric(label, counts.requests)
        finished.add_metric(label, counts.finished)
        off.add_metric(label, counts.off_allocation)
        last_means.add_metric(label, counts.last_means)
        active.add_metric(label, counts.in_flight)
        queued.add_metric(label, counts.queued)
        queued_bytes.add_metric(label, counts.queued_bytes)
        for reason, count in counts.refused.items():
            refused.add_metric([counts.class_id, reason], count)
    for reason, count in snapshot.unclassified.items():
        refused.add_metric([UNCLASSIFIED, reason], count)
    yield from (requests, finished, off, last_means, refused, active, queued, queued_bytes)


def _traffic(traffic: list[Traffic]) -> Iterator[Metric]:
    attempts = _counter("attempts", "Attempts at engines that ended, by outcome.", (*_TRAFFIC, "outcome"))
    degraded = _counter("degraded", "Attempts at less than the best precision the class may have.", _TRAFFIC)
    inputs = _counter("input_tokens", "Input tokens, as told by the engines or estimated.", _TRAFFIC)
    outputs = _counter("output_tokens", "Output tokens, as told by the engines or estimated.", _TRAFFIC)
    for item in traffic:
        labels = [item.class_id, item.pool_id]
        for outcome, count in item.outcomes.items():
            attempts.add_metric([*labels, outcome], count)
        degraded.add_metric(labels, item.degraded)
        inputs.add_metric(labels, item.input_tokens)
        outputs.add_metric(labels, item.output_tokens)
    yield from (attempts, degraded, inputs, outputs)
    for attribute, name, text in (
        ("ttft", "ttft_seconds", "From a request's arrival to the first byte of its answer."),
        ("itl", "itl_seconds", "Mean time between the output tokens of one stream."),
        ("duration", "duration_seconds", "From a request's arrival to the end of its answer."),
        ("queue_wait", "queue_wait_seconds", "Time that requests waited for a slot, those that had to."),
        ("input_sizes", "request_input_tokens", "Input tokens of an answered request."),
        ("output_sizes", "request_output_tokens", "Output tokens of an answered request."),
    ):
        family = _histogram(name, text, _TRAFFIC)
        for item in traffic:
            _add_histogram(family, [item.class_id, item.pool_id], getattr(item, attribute))
        yield family


def _instances(instances: list[InstanceView]) -> Iterator[Metric]:
    in_flight = _gauge("in_flight", "Requests in flight on an instance.", _INSTANCE)
    cap = _gauge("max_in_flight", "Most requests that may be in flight on an instance.", _INSTANCE)
    draining = _gauge("instance_draining", "1 while an instance gets no new request.", _INSTANCE)
    state = _gauge("instance_state", "1 for the state an instance is in.", (*_INSTANCE, "state"))
    age = _gauge("instance_probe_age_seconds", "Time since the instance last answered a probe.", _INSTANCE)
    for instance in instances:
        labels = [instance.instance_id, instance.pool_id]
        in_flight.add_metric(labels, instance.in_flight)
        cap.add_metric(labels, instance.max_in_flight)
        draining.add_metric(labels, float(instance.draining))
        for name in INSTANCE_STATES:
            state.add_metric([*labels, name], float(instance.state == name))
        if instance.probe_age_s is not None:  # never probed has no age: absent, not zero
            age.add_metric(labels, instance.probe_age_s)
    yield from (in_flight, cap, draining, state, age)


def _table(snapshot: Snapshot) -> Iterator[Metric]:
    table = snapshot.table
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
        age.add_metric([], max(0.0, snapshot.now_s - table.issued_at_s))
        ahead = _gauge(
            "table_clock_ahead_seconds", "This router's clock less that of the table's issuer; 0 within 2 s."
        )
        ahead.add_metric([], table.clock_ahead_s or 0.0)
        yield from (age, ahead)


def _loads(view: LoadsView) -> Iterator[Metric]:
    state = _gauge("loads_state", "1 for whose looks at the engines count: shared or own.", ("state",))
    for name in LOADS_STATES:
        state.add_metric([name], float(view.state == name))
    agreed = _gauge("loads_agreed_instances", "Instances of which the controller says what the router has seen itself.")
    agreed.add_metric([], view.agreed)
    refused = _counter("loads_refused", "Documents of engines' loads that could not be used.")
    refused.add_metric([], view.refused)
    yield from (state, agreed, refused)
    if view.age_s is not None:  # never told has no age: absent, not zero
        age = _gauge("loads_age_seconds", "Time since the controller told the engines' loads last.")
        age.add_metric([], view.age_s)
        yield age


def _redis(view: RedisView) -> Iterator[Metric]:
    missing = _gauge("redis_right_missing", "1 while Redis refuses what a part of the router needs.", ("part",))
    for part in Part:
        missing.add_metric([part.value], float(part in view.rights_missing))
    taken = _gauge("name_taken", "1 while another router goes on to tell of itself under this one's name.")
    taken.add_metric([], float(view.name_taken))
    yield from (missing, taken)


def _process(snapshot: Snapshot) -> Iterator[Metric]:
    retries = _counter("retries", "Attempts tried again elsewhere, by the outcome that caused it.", ("reason",))
    for reason, count in snapshot.retries.items():
        retries.add_metric([reason], count)
    ready = _gauge("ready", "1 while any instance can take a request and the router is not draining.")
    ready.add_metric([], float(snapshot.ready))
    draining = _gauge("draining", "1 while the router is going out of service.")
    draining.add_metric([], float(snapshot.draining))
    build = _gauge("build_info", "1, with the version as its label.", ("version",))
    build.add_metric([VERSION], 1.0)
    engines = _gauge("engine_connections", "Connections to engines that stand.", ("state",))
    for name, number in sorted(snapshot.engine_connections.items()):
        engines.add_metric([name], number)
    yield from (retries, ready, draining, build, engines)
    if snapshot.overhead is not None:
        overhead = _histogram(
            "overhead_seconds", "From a request's receipt until it was sent to the engine, waits too."
        )
        _add_histogram(overhead, [], snapshot.overhead)
        yield overhead
    for name, total in sorted(snapshot.counters.items()):
        counter = _counter(name, _text_of(name, COUNTERS))
        counter.add_metric([], total)
        yield counter
    for texts, values in ((GAUGES, snapshot.gauges), (SUMS, snapshot.sums)):
        for name, value in sorted(values.items()):
            gauge = _gauge(name, _text_of(name, texts))
            gauge.add_metric([], value)
            yield gauge


def _config(snapshot: Snapshot) -> Iterator[Metric]:
    config = snapshot.config
    info = _gauge("config_workers", "Processes that go by the configuration of this hash.", ("hash",))
    for digest, number in config.workers_by_hash.items():
        info.add_metric([digest], number)
    reloads = _counter("config_reloads", "Attempts to take a changed configuration, by result.", ("result",))
    for result, count in config.reloads.items():
        reloads.add_metric([result], count)
    in_clear = _gauge("config_in_clear", "Settings by which a table or a key goes unencrypted between machines.")
    in_clear.add_metric([], len(config.in_clear))
    yield from (info, reloads, in_clear)
    if config.loaded_at_s is not None:
        loaded = _gauge("config_loaded_timestamp_seconds", "When the configuration obeyed was taken.")
        loaded.add_metric([], config.loaded_at_s)
        yield loaded


def _tenants(snapshot: Snapshot) -> Iterator[Metric]:
    requests = _counter("tenant_requests", "Requests admitted.", _TENANT)
    in_flight = _gauge("tenant_in_flight", "Requests admitted and not yet ended.", _TENANT)
    inputs = _counter("tenant_input_tokens", "Input tokens, as told by the engines or estimated.", _TENANT)
    outputs = _counter("tenant_output_tokens", "Output tokens, as told by the engines or estimated.", _TENANT)
    refused = _counter("tenant_refused", "Requests not served, by reason.", (*_TENANT, "reason"))
    for counts in snapshot.tenants:
        label = [counts.tenant]
        requests.add_metric(label, counts.requests)
        in_flight.add_metric(label, counts.in_flight)
        inputs.add_metric(label, counts.input_tokens)
        outputs.add_metric(label, counts.output_tokens)
        for reason, count in counts.refused.items():
            refused.add_metric([counts.tenant, reason], count)
    yield from (requests, in_flight, inputs, outputs, refused)


def _discovery(views: list[DiscoveryView]) -> Iterator[Metric]:
    age = _gauge("discovery_age_seconds", "Time since a pool's known instances were last confirmed.", _POOL)
    failures = _counter("discovery_failures", "How often a pool's instances could not be found out.", _POOL)
    endpoints = _gauge("discovery_endpoints", "Endpoints that were found, by state.", (*_POOL, "state"))
    for view in views:
        if view.age_s is not None:  # never told has no age: absent, not zero
            age.add_metric([view.pool_id], view.age_s)
        failures.add_metric([view.pool_id], view.failures)
        if view.told:
            for state, count in view.endpoints.items():
                endpoints.add_metric([view.pool_id, state], count)
    yield from (age, failures, endpoints)


def _text_of(name: str, texts: Mapping[str, str]) -> str:
    return texts.get(name) or f"{name.replace('_', ' ').capitalize()}."


def _counter(name: str, text: str, labels: tuple[str, ...] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=labels)


def _histogram(name: str, text: str, labels: tuple[str, ...] = ()) -> HistogramMetricFamily:
    return HistogramMetricFamily(PREFIX + name, text, labels=labels)


def _add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    """Cumulative counts by upper bound, as Prometheus has them."""
    buckets: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        running += count
        buckets.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(running)))
    family.add_metric(labels, buckets, histogram.total)
