"""The state of a worker at one moment, and the sum of several. Pure; encodable with msgspec.

A router with several workers passes snapshots from each to the process that answers the admin port.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from router.accounting import ClassCounts, Traffic, add_counts
from router.ladder import TableState
from router.tenants.counts import TenantCounts, merge_tenants

SCHEMA_VERSION = 1
_RUNGS = [TableState.FRESH.value, TableState.LAST_GOOD.value, TableState.STATIC.value]
INSTANCE_STATES = ("up", "suspect", "ejected", "asleep")
"""States of an instance, each worse than the one before."""


class TableView(msgspec.Struct):
    """The allocation table obeyed; sequence -1 and the rest None without one."""

    state: str
    sequence: int
    issuer: str | None = None
    issued_at_s: float | None = None
    expires_at_s: float | None = None
    refused: dict[str, int] = {}
    unknown_names: int = 0


class InstanceView(msgspec.Struct):
    """One instance: `in_flight` is this worker's, `max_in_flight` holds for all workers together."""

    instance_id: str
    pool_id: str
    precision: str
    url: str
    state: str
    in_flight: int
    max_in_flight: int
    draining: bool


class Snapshot(msgspec.Struct):
    """Everything told on the admin port.

    Attributes:
        now_s: wall clock.
        ready: whether any instance could take a request.
        retries: attempts tried again, by the outcome that caused it.
        unclassified: refusals of requests that have no class, by reason.
        counters: further counts, by name without prefix and ``_total``; summed over workers.
        gauges: further values, by name without prefix; the largest of the workers counts.
        tenants: by label, at most as many as the settings allow; empty where there are no tenants.
    """

    now_s: float
    ready: bool
    table: TableView
    classes: list[ClassCounts]
    traffic: list[Traffic]
    instances: list[InstanceView]
    retries: dict[str, int]
    unclassified: dict[str, int] = {}
    counters: dict[str, int] = {}
    gauges: dict[str, float] = {}
    tenants: list[TenantCounts] = []


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Sum over workers; where they differ on the table or an instance, the most pessimistic view counts.

    Raises:
        ValueError: there is none to merge.
    """
    if not snapshots:
        raise ValueError("no worker gave a snapshot")
    copies = [msgspec.convert(msgspec.to_builtins(snapshot), Snapshot) for snapshot in snapshots]
    whole = copies[0]
    for other in copies[1:]:
        whole.now_s = max(whole.now_s, other.now_s)
        whole.ready = whole.ready or other.ready
        whole.table = _merge_tables(whole.table, other.table)
        _merge_counts(whole, other)
        _merge_instances(whole.instances, other.instances)
        add_counts(whole.retries, other.retries)
        add_counts(whole.unclassified, other.unclassified)
        add_counts(whole.counters, other.counters)
        merge_tenants(whole.tenants, other.tenants)
        for name, value in other.gauges.items():
            whole.gauges[name] = max(value, whole.gauges.get(name, value))
    return whole


def _merge_tables(mine: TableView, theirs: TableView) -> TableView:
    worst = max(mine.state, theirs.state, key=_RUNGS.index)
    oldest = mine if mine.sequence <= theirs.sequence else theirs
    refused = dict(mine.refused)
    add_counts(refused, theirs.refused)
    return msgspec.structs.replace(
        oldest, state=worst, refused=refused, unknown_names=max(mine.unknown_names, theirs.unknown_names)
    )


def _merge_counts(whole: Snapshot, other: Snapshot) -> None:
    classes = {counts.class_id: counts for counts in whole.classes}
    for counts in other.classes:
        if counts.class_id in classes:
            classes[counts.class_id].add(counts)
        else:
            whole.classes.append(counts)
    traffic = {(item.class_id, item.pool_id): item for item in whole.traffic}
    for item in other.traffic:
        if (item.class_id, item.pool_id) in traffic:
            traffic[item.class_id, item.pool_id].add(item)
        else:
            whole.traffic.append(item)


def _merge_instances(whole: list[InstanceView], others: list[InstanceView]) -> None:
    known = {instance.instance_id: instance for instance in whole}
    for other in others:
        mine = known.get(other.instance_id)
        if mine is None:
            whole.append(other)
            continue
        mine.in_flight += other.in_flight
        mine.max_in_flight = max(mine.max_in_flight, other.max_in_flight)
        mine.draining = mine.draining and other.draining
        mine.state = max(mine.state, other.state, key=INSTANCE_STATES.index)


def state_document(snapshot: Snapshot) -> dict[str, Any]:
    """The answer to ``GET /state``, read by the controller."""
    table = snapshot.table
    tokens: dict[str, list[Traffic]] = {}
    for item in snapshot.traffic:
        tokens.setdefault(item.class_id, []).append(item)
    return {
        "schema_version": SCHEMA_VERSION,
        "now_s": snapshot.now_s,
        "table": {
            "state": table.state,
            "sequence": table.sequence,
            "issuer": table.issuer,
            "expires_at_s": table.expires_at_s,
        },
        "classes": [_class_document(counts, tokens.get(counts.class_id, [])) for counts in snapshot.classes],
        "instances": [
            {
                "instance_id": instance.instance_id,
                "pool_id": instance.pool_id,
                "url": instance.url,
                "state": instance.state,
                "in_flight": instance.in_flight,
                "max_in_flight": instance.max_in_flight,
                "draining": instance.draining,
            }
            for instance in snapshot.instances
        ],
    }


def _class_document(counts: ClassCounts, traffic: list[Traffic]) -> dict[str, Any]:
    return {
        "class_id": counts.class_id,
        "requests": counts.requests,
        "finished": counts.finished,
        "input_tokens": sum(item.input_tokens for item in traffic),
        "output_tokens": sum(item.output_tokens for item in traffic),
        "refused": sum(counts.refused.values()),
        "in_flight": counts.in_flight,
        "queued": counts.queued,
        "output_tokens_by_pool": {item.pool_id: float(item.output_tokens) for item in traffic},
    }
