"""A router's answer to ``GET /state``, checked; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.signals.router_fields import count_of, list_of, name_of, object_of
from controller.signals.router_service import MAX_OUTCOMES, read_service
from controller.signals.router_service import Key as ServiceKey
from controller.signals.router_tokens import Key, Pair, read_tokens

MAX_CLASSES = 1024
MAX_INSTANCES = 65_536
_TOLD = ("requests", "finished", "input_tokens", "output_tokens", "refused")
COUNTERS = (*_TOLD, "rejected")
_REJECTED = "client_error"
"""Outcome of a request that an engine found fault with, such as one for a model that it does not serve."""


@dataclass(frozen=True, slots=True)
class RouterState:
    """One router's /state, checked; counters are by (class, counter) and (class, pool).

    Attributes:
        in_flight, queued: requests by class.
        on_instance: requests under way by instance.
        tokens, streams: as in `router_tokens.read_tokens`.
        service: as in `router_service.read_service`.
        name_taken: whether it says that another router tells of itself under its name.
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
    name_taken: bool = False


def read_state(data: Any) -> RouterState:
    """Check a router's /state.

    Raises:
        ValueError: the place and the value of what is malformed.
    """
    if not isinstance(data, dict):
        raise ValueError(f"an object is expected, not {type(data).__name__}")
    table = data.get("table")
    if not isinstance(table, dict) or not isinstance(table.get("sequence"), int):
        raise ValueError("table.sequence is not a whole number")
    classes = list_of(data.get("classes"), "classes", MAX_CLASSES)
    counters: dict[tuple[str, str], float] = {}
    by_pool: dict[tuple[str, str], float] = {}
    in_flight: dict[str, int] = {}
    queued: dict[str, int] = {}
    for index, entry in enumerate(classes):
        where = f"classes[{index}]"
        class_id = name_of(entry, "class_id", where)
        for name in _TOLD:
            counters[class_id, name] = count_of(entry.get(name, 0), f"{where}.{name}")
        outcomes = object_of(entry.get("outcomes", {}), f"{where}.outcomes", MAX_OUTCOMES)
        counters[class_id, "rejected"] = count_of(outcomes.get(_REJECTED, 0), f"{where}.outcomes.{_REJECTED}")
        in_flight[class_id] = round(count_of(entry.get("in_flight", 0), f"{where}.in_flight"))
        queued[class_id] = round(count_of(entry.get("queued", 0), f"{where}.queued"))
        pools = object_of(entry.get("output_tokens_by_pool", {}), f"{where}.output_tokens_by_pool", MAX_CLASSES)
        for pool_id, value in pools.items():
            by_pool[class_id, pool_id] = count_of(value, f"{where}.output_tokens_by_pool.{pool_id}")
    on_instance = _on_instance(data.get("instances", []))
    tokens, streams = read_tokens(data)
    service = read_service(classes, counters)
    return RouterState(
        table["sequence"],
        counters,
        by_pool,
        in_flight,
        queued,
        on_instance,
        tokens,
        streams,
        service,
        _name_taken(data.get("redis")),
    )


def _name_taken(redis: Any) -> bool:
    """Of a router that follows Redis; older ones do not say."""
    return isinstance(redis, dict) and redis.get("name_taken") is True


def _on_instance(instances: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for index, entry in enumerate(list_of(instances, "instances", MAX_INSTANCES)):
        where = f"instances[{index}]"
        counts[name_of(entry, "instance_id", where)] = round(count_of(entry.get("in_flight", 0), f"{where}.in_flight"))
    return counts
