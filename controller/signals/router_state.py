"""A router's answer to ``GET /state``, checked; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.signals.router_service import Key as ServiceKey
from controller.signals.router_service import read_service
from controller.signals.router_tokens import Key, Pair, read_tokens

MAX_CLASSES = 1024
MAX_INSTANCES = 65_536
COUNTERS = ("requests", "finished", "input_tokens", "output_tokens", "refused")


@dataclass(frozen=True, slots=True)
class RouterState:
    """One router's /state, checked; counters are by (class, counter) and (class, pool).

    Attributes:
        in_flight, queued: requests by class.
        on_instance: requests under way by instance.
        tokens, streams: as in `router_tokens.read_tokens`.
        service: as in `router_service.read_service`.
    """

    sequence: int
    counters: Mapping[tuple[str, str], float]
    by_pool: Mapping[tuple[str, str], float]
    in_flight: Mapping[str, int]
    queued: Mapping[str, int]
    on_instance: Mapping[str, int]
    tokens: Mapping[Key, Pair] = field(default_factory=dict)
    streams: Mapping[str, int] = field(default_factory=dict)
    service: Mapping[ServiceKey, float] = field(default_factory=dict)


def read_state(data: Any) -> RouterState:
    """Check a router's /state.

    Raises:
        ValueError: the place and the value of what is malformed.
    """
    if not isinstance(data, dict):
        raise ValueError(f"an object is expected, not {type(data).__name__}")
    table, classes = data.get("table"), data.get("classes")
    if not isinstance(table, dict) or not isinstance(table.get("sequence"), int):
        raise ValueError("table.sequence is not a whole number")
    if not isinstance(classes, list) or len(classes) > MAX_CLASSES:
        raise ValueError(f"classes is not a list of at most {MAX_CLASSES}")
    counters: dict[tuple[str, str], float] = {}
    by_pool: dict[tuple[str, str], float] = {}
    in_flight: dict[str, int] = {}
    queued: dict[str, int] = {}
    for index, entry in enumerate(classes):
        where = f"classes[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("class_id"), str):
            raise ValueError(f"{where}.class_id is not a name")
        class_id = entry["class_id"]
        for name in COUNTERS:
            counters[class_id, name] = _count(entry.get(name, 0), f"{where}.{name}")
        in_flight[class_id] = round(_count(entry.get("in_flight", 0), f"{where}.in_flight"))
        queued[class_id] = round(_count(entry.get("queued", 0), f"{where}.queued"))
        pools = entry.get("output_tokens_by_pool", {})
        if not isinstance(pools, dict) or len(pools) > MAX_CLASSES:
            raise ValueError(f"{where}.output_tokens_by_pool is not an object")
        for pool_id, value in pools.items():
            by_pool[class_id, pool_id] = _count(value, f"{where}.output_tokens_by_pool.{pool_id}")
    on_instance = _on_instance(data.get("instances", []))
    tokens, streams = read_tokens(data)
    service = read_service(classes, counters)
    return RouterState(table["sequence"], counters, by_pool, in_flight, queued, on_instance, tokens, streams, service)


def _on_instance(instances: Any) -> dict[str, int]:
    if not isinstance(instances, list) or len(instances) > MAX_INSTANCES:
        raise ValueError(f"instances is not a list of at most {MAX_INSTANCES}")
    counts: dict[str, int] = {}
    for index, entry in enumerate(instances):
        where = f"instances[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("instance_id"), str):
            raise ValueError(f"{where}.instance_id is not a name")
        counts[entry["instance_id"]] = round(_count(entry.get("in_flight", 0), f"{where}.in_flight"))
    return counts


def _count(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{where} is {value!r:.40}, a number of at least 0 is expected")
    return float(value)
