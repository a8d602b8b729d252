"""The answer to ``GET /state``, made of a snapshot. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from router.accounting import ITL_BOUNDS_S, TTFT_BOUNDS_S, ClassCounts, Traffic, add_counts
from router.histogram import Histogram
from router.snapshot import INSTANCE_STATES, ConfigView, InstanceView, Snapshot, TableView

SCHEMA_VERSION = 1


def state_document(snapshot: Snapshot) -> dict[str, Any]:
    """The answer to ``GET /state``, for people and for the controller."""
    tokens: dict[str, list[Traffic]] = {}
    for item in snapshot.traffic:
        tokens.setdefault(item.class_id, []).append(item)
    return {
        "schema_version": SCHEMA_VERSION,
        "now_s": snapshot.now_s,
        "ready": snapshot.ready,
        "draining": snapshot.draining,
        "workers": int(snapshot.sums.get("workers", 0)),
        "table": _table_document(snapshot.table, snapshot.now_s),
        "classes": [_class_document(counts, tokens.get(counts.class_id, [])) for counts in snapshot.classes],
        "tenants": [{"tenant": item.tenant, "tokens": item.used} for item in snapshot.tenants],
        "pools": _pool_documents(snapshot.instances),
        "instances": _instance_documents(snapshot),
        "leaving": [msgspec.structs.asdict(view) for view in snapshot.leaving],
        "discovery": [msgspec.structs.asdict(view) for view in snapshot.discovery],
        "loads": None if snapshot.loads is None else msgspec.structs.asdict(snapshot.loads),
        "redis": None if snapshot.redis is None else msgspec.structs.asdict(snapshot.redis),
        "connections": {
            "clients": int(snapshot.sums.get("client_connections", 0)),
            "engines": dict(snapshot.engine_connections),
        },
        "config": _config_document(snapshot.config, snapshot.now_s),
    }


def _table_document(table: TableView, now_s: float) -> dict[str, Any]:
    return {
        "state": table.state,
        "sequence": table.sequence,
        "issuer": table.issuer,
        "issued_at_s": table.issued_at_s,
        "expires_at_s": table.expires_at_s,
        "clock_ahead_s": table.clock_ahead_s,
        "age_s": None if table.issued_at_s is None else max(0.0, now_s - table.issued_at_s),
        "unknown_names": table.unknown_names,
        "refused": dict(table.refused),
    }


def _config_document(config: ConfigView, now_s: float) -> dict[str, Any]:
    return {
        "workers_by_hash": dict(config.workers_by_hash),
        "age_s": None if config.loaded_at_s is None else max(0.0, now_s - config.loaded_at_s),
        "reloads": dict(config.reloads),
        "last_error": config.error,
        "needs_restart": list(config.needs_restart),
        "in_clear": list(config.in_clear),
    }


def _instance_documents(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Each instance with the tokens that classes had of it."""
    tokens: dict[str, dict[str, Any]] = {}
    for item in snapshot.spent:
        tokens.setdefault(item.instance_id, {})[item.class_id] = {
            "input": item.input_tokens,
            "output": item.output_tokens,
            "streams": item.streams,
        }
    return [
        {**msgspec.structs.asdict(instance), "tokens": tokens.get(instance.instance_id, {})}
        for instance in snapshot.instances
    ]


def _pool_documents(instances: list[InstanceView]) -> list[dict[str, Any]]:
    pools: dict[str, dict[str, Any]] = {}
    for view in instances:
        pool = pools.setdefault(
            view.pool_id,
            {
                "pool_id": view.pool_id,
                "precision": view.precision,
                "instances": dict.fromkeys((*INSTANCE_STATES, "draining"), 0),
                "in_flight": 0,
                "max_in_flight": 0,
            },
        )
        pool["instances"]["draining" if view.draining else view.state] += 1
        pool["in_flight"] += view.in_flight
        pool["max_in_flight"] += view.max_in_flight
    return list(pools.values())


def _class_document(counts: ClassCounts, traffic: list[Traffic]) -> dict[str, Any]:
    outcomes: dict[str, int] = {}
    for item in traffic:
        add_counts(outcomes, item.outcomes)
    return {
        "class_id": counts.class_id,
        "requests": counts.requests,
        "finished": counts.finished,
        "input_tokens": sum(item.input_tokens for item in traffic),
        "output_tokens": sum(item.output_tokens for item in traffic),
        "refused": sum(counts.refused.values()),
        "in_flight": counts.in_flight,
        "queued": counts.queued,
        "queued_bytes": counts.queued_bytes,
        "output_tokens_by_pool": {item.pool_id: float(item.output_tokens) for item in traffic},
        "outcomes": outcomes,
        "ttft_s": _histogram_document(TTFT_BOUNDS_S, [item.ttft for item in traffic]),
        "itl_s": _histogram_document(ITL_BOUNDS_S, [item.itl for item in traffic]),
    }


def _histogram_document(bounds: tuple[float, ...], parts: list[Histogram]) -> dict[str, Any]:
    """Their sum: upper bounds, one count more than those, and the total of all that was observed."""
    whole = Histogram.empty(bounds)
    for part in parts:
        whole.add(part)
    return {"bounds": list(whole.bounds), "counts": whole.counts, "total": whole.total}
