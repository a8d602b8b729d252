"""What Prometheus sees of a `Snapshot`; built when scraped, so that counting costs nothing more. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from router.accounting import Histogram, Traffic
from router.exposition import Family, exposition
from router.ladder import TableState
from router.snapshot import INSTANCE_STATES, Snapshot

PREFIX = "wattroute_router_"
UNCLASSIFIED = "other"
"""Value of the label class_id for requests that name a class that is not configured."""

_TRAFFIC = ("class_id", "pool_id")
_INSTANCE = ("instance_id", "pool_id")


def expose(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """Body and content type that suit the scraper's Accept header."""
    return exposition(families(snapshot), accept)


def families(snapshot: Snapshot) -> Iterator[Family]:
    """All metrics; labels take values from the configuration and from fixed lists only."""
    yield from _classes(snapshot)
    yield from _traffic(snapshot)
    yield from _instances(snapshot)
    yield from _table(snapshot)
    yield from _process(snapshot)
    if snapshot.tenants:
        yield from _tenants(snapshot)


def _classes(snapshot: Snapshot) -> Iterator[Family]:
    requests = _counter("requests", "Requests accepted for routing.", ("class_id",))
    finished = _counter("finished", "Requests answered to the end.", ("class_id",))
    off = _counter("off_allocation", "Requests served by a pool without weight, as no other could.", ("class_id",))
    refused = _counter("refused", "Requests not served, by reason.", ("class_id", "reason"))
    queued = _gauge("queued", "Requests waiting for a slot.", ("class_id",))
    for counts in snapshot.classes:
        label = [counts.class_id]
        requests.add(counts.requests, *label)
        finished.add(counts.finished, *label)
        off.add(counts.off_allocation, *label)
        queued.add(counts.queued, *label)
        for reason, count in counts.refused.items():
            refused.add(count, counts.class_id, reason)
    for reason, count in snapshot.unclassified.items():
        refused.add(count, UNCLASSIFIED, reason)
    yield from (requests, finished, off, refused, queued)


def _traffic(snapshot: Snapshot) -> Iterator[Family]:
    attempts = _counter("attempts", "Attempts at engines that ended, by outcome.", (*_TRAFFIC, "outcome"))
    degraded = _counter("degraded", "Attempts at less than the best precision the class may have.", _TRAFFIC)
    inputs = _counter("input_tokens", "Input tokens, as told by the engines or estimated.", _TRAFFIC)
    outputs = _counter("output_tokens", "Output tokens, as told by the engines or estimated.", _TRAFFIC)
    ttft = _histogram("ttft_seconds", "From a request's arrival to the first byte of its answer.")
    itl = _histogram("itl_seconds", "Mean time between the events of one stream.")
    duration = _histogram("duration_seconds", "From a request's arrival to the end of its answer.")
    for item in snapshot.traffic:
        labels = [item.class_id, item.pool_id]
        for outcome, count in item.outcomes.items():
            attempts.add(count, *labels, outcome)
        degraded.add(item.degraded, *labels)
        inputs.add(item.input_tokens, *labels)
        outputs.add(item.output_tokens, *labels)
        _add_histograms(item, ttft=ttft, itl=itl, duration=duration)
    yield from (attempts, degraded, inputs, outputs, ttft, itl, duration)


def _instances(snapshot: Snapshot) -> Iterator[Family]:
    in_flight = _gauge("in_flight", "Requests in flight on an instance.", _INSTANCE)
    cap = _gauge("max_in_flight", "Most requests that may be in flight on an instance.", _INSTANCE)
    draining = _gauge("instance_draining", "1 while an instance gets no new request.", _INSTANCE)
    state = _gauge("instance_state", "1 for the state an instance is in.", (*_INSTANCE, "state"))
    for instance in snapshot.instances:
        labels = [instance.instance_id, instance.pool_id]
        in_flight.add(instance.in_flight, *labels)
        cap.add(instance.max_in_flight, *labels)
        draining.add(float(instance.draining), *labels)
        for name in INSTANCE_STATES:
            state.add(float(instance.state == name), *labels, name)
    yield from (in_flight, cap, draining, state)


def _table(snapshot: Snapshot) -> Iterator[Family]:
    table = snapshot.table
    sequence = _gauge("table_sequence", "Sequence of the allocation table obeyed, -1 for static weights.")
    sequence.add(table.sequence)
    state = _gauge("table_state", "1 for the rung of the ladder the router stands on.", ("state",))
    for rung in TableState:
        state.add(float(table.state == rung.value), rung.value)
    refused = _counter("tables_refused", "Allocation tables that were not obeyed, by reason.", ("reason",))
    for reason, count in table.refused.items():
        refused.add(count, reason)
    unknown = _gauge("table_unknown_names", "Names in the table obeyed that the router does not know.")
    unknown.add(table.unknown_names)
    yield from (sequence, state, refused, unknown)
    if table.issued_at_s is not None:  # no table has no age: absent, not zero
        age = _gauge("table_age_seconds", "Time since the table obeyed was issued.")
        age.add(max(0.0, snapshot.now_s - table.issued_at_s))
        yield age


def _process(snapshot: Snapshot) -> Iterator[Family]:
    retries = _counter("retries", "Attempts tried again elsewhere, by the outcome that caused it.", ("reason",))
    for reason, count in snapshot.retries.items():
        retries.add(count, reason)
    yield retries
    ready = _gauge("ready", "1 while any instance can take a request.")
    ready.add(float(snapshot.ready))
    yield ready
    for name, total in sorted(snapshot.counters.items()):
        counter = _counter(name, f"{name.replace('_', ' ').capitalize()}.")
        counter.add(total)
        yield counter
    for name, value in sorted(snapshot.gauges.items()):
        gauge = _gauge(name, f"{name.replace('_', ' ').capitalize()}.")
        gauge.add(value)
        yield gauge


def _tenants(snapshot: Snapshot) -> Iterator[Family]:
    requests = _counter("tenant_requests", "Requests admitted.", ("tenant",))
    in_flight = _gauge("tenant_in_flight", "Requests admitted and not yet ended.", ("tenant",))
    inputs = _counter("tenant_input_tokens", "Input tokens, as told by the engines or estimated.", ("tenant",))
    outputs = _counter("tenant_output_tokens", "Output tokens, as told by the engines or estimated.", ("tenant",))
    refused = _counter("tenant_refused", "Requests not served, by reason.", ("tenant", "reason"))
    for counts in snapshot.tenants:
        requests.add(counts.requests, counts.tenant)
        in_flight.add(counts.in_flight, counts.tenant)
        inputs.add(counts.input_tokens, counts.tenant)
        outputs.add(counts.output_tokens, counts.tenant)
        for reason, count in counts.refused.items():
            refused.add(count, counts.tenant, reason)
    yield from (requests, in_flight, inputs, outputs, refused)


def _counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Family:
    return Family(PREFIX + name, "counter", text, labels)


def _gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Family:
    return Family(PREFIX + name, "gauge", text, labels)


def _histogram(name: str, text: str) -> Family:
    return Family(PREFIX + name, "histogram", text, _TRAFFIC)


def _add_histograms(item: Traffic, **families: Family) -> None:
    for name, family in families.items():
        histogram: Histogram = getattr(item, name)
        family.add_buckets(histogram.bounds, histogram.counts, histogram.total, item.class_id, item.pool_id)
