"""What the controller tells the routers: the allocation table and its JSON form.

This module, `contract_rates` and the reading of fields that both have in common are the only thing the two planes share
at run time. They are pure and import the standard library alone, so that either side, or a third program, can read and
write tables without the rest.

A table is valid from the moment it is read until ``expires_at_s``. After that a router falls back to the static
weights of its own settings; it never obeys an expired table.

JSON form, ``schema_version`` 1 (unknown keys are ignored, so that a newer controller may add some)::

    {"schema_version": 1, "sequence": 42, "issued_at_s": 1.0, "expires_at_s": 31.0, "issuer": "controller-a",
     "weights": [{"class_id": "standard", "pools": [{"pool_id": "bf16", "weight": 0.7}, ...]}, ...],
     "caps": [{"instance_id": "bf16-0", "max_in_flight": 128}, ...],
     "draining": ["bf16-1"],
     "event": {"event_id": "e1", "state": "active", "ends_at_s": 1800.0} | null}
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NewType

from router.contract_fields import ContractError, integer, items, mapping, number, string

SCHEMA_VERSION = 1
MAX_ENCODED_BYTES = 4 * 1024 * 1024
PoolId = NewType("PoolId", str)
InstanceId = NewType("InstanceId", str)
ClassId = NewType("ClassId", str)


class Precision(StrEnum):
    """Numeric precision of a pool's weights."""

    BF16 = "bf16"
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"


class EventState(StrEnum):
    """Where a grid event stands."""

    PENDING = "pending"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class PoolWeight:
    """Share of a class's tokens that a pool should serve; weights of a class need not sum to one."""

    pool_id: PoolId
    weight: float


@dataclass(frozen=True, slots=True)
class ClassWeights:
    """Where the tokens of one request class go."""

    class_id: ClassId
    pools: tuple[PoolWeight, ...]


@dataclass(frozen=True, slots=True)
class InstanceCap:
    """Most requests that may be in flight on one instance, summed over a router's workers."""

    instance_id: InstanceId
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class EventNotice:
    """The grid event in force, so that refusals can carry a truthful ``Retry-After``."""

    event_id: str
    state: EventState
    ends_at_s: float


@dataclass(frozen=True, slots=True)
class AllocationTable:
    """What a router obeys until ``expires_at_s`` (wall clock, seconds since the epoch).

    Attributes:
        sequence: grows with each table of one issuer; routers ignore a smaller one from the same issuer.
        weights: one entry a class; a class without an entry uses the router's static weights.
        caps: in-flight caps; an instance without an entry has the cap of the router's settings.
        draining: instances that get no new request; those they have go on to their end.
    """

    sequence: int
    issued_at_s: float
    expires_at_s: float
    issuer: str
    weights: tuple[ClassWeights, ...]
    caps: tuple[InstanceCap, ...] = ()
    draining: tuple[InstanceId, ...] = ()
    event: EventNotice | None = None


def encode(table: AllocationTable) -> bytes:
    """JSON form of a table, UTF-8."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(table)}, separators=(",", ":")).encode()


def decode(raw: bytes) -> AllocationTable:
    """Read and check a table.

    Raises:
        ContractError: naming the place and the value, for anything malformed, unbounded or of another schema version.
    """
    if len(raw) > MAX_ENCODED_BYTES:
        raise ContractError("$", f"{len(raw)} bytes, more than {MAX_ENCODED_BYTES}")
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ContractError("$", f"not JSON ({error})") from error
    root = mapping(data, "$")
    version = root.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ContractError("schema_version", f"{version!r}, this reader knows {SCHEMA_VERSION}")
    issued_at_s = number(root, "issued_at_s", "$")
    expires_at_s = number(root, "expires_at_s", "$")
    if expires_at_s <= issued_at_s:
        raise ContractError("expires_at_s", f"{expires_at_s} is not after issued_at_s {issued_at_s}")
    return AllocationTable(
        sequence=integer(root, "sequence", "$", minimum=0),
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        issuer=string(root.get("issuer"), "issuer"),
        weights=tuple(_class_weights(item, f"weights[{i}]") for i, item in enumerate(items(root, "weights"))),
        caps=tuple(_cap(item, f"caps[{i}]") for i, item in enumerate(items(root, "caps"))),
        draining=tuple(InstanceId(string(item, f"draining[{i}]")) for i, item in enumerate(items(root, "draining"))),
        event=_event(root.get("event")),
    )


def _class_weights(item: Any, path: str) -> ClassWeights:
    entry = mapping(item, path)
    pools = tuple(
        PoolWeight(
            PoolId(string(mapping(pool, f"{path}.pools[{i}]").get("pool_id"), f"{path}.pools[{i}].pool_id")),
            number(pool, "weight", f"{path}.pools[{i}]", minimum=0.0),
        )
        for i, pool in enumerate(items(entry, "pools", path))
    )
    if not any(pool.weight > 0 for pool in pools):
        raise ContractError(f"{path}.pools", "no pool has a positive weight")
    if len({pool.pool_id for pool in pools}) != len(pools):
        raise ContractError(f"{path}.pools", "a pool is named twice")
    return ClassWeights(ClassId(string(entry.get("class_id"), f"{path}.class_id")), pools)


def _cap(item: Any, path: str) -> InstanceCap:
    entry = mapping(item, path)
    return InstanceCap(
        InstanceId(string(entry.get("instance_id"), f"{path}.instance_id")),
        integer(entry, "max_in_flight", path, minimum=0),
    )


def _event(item: Any) -> EventNotice | None:
    if item is None:
        return None
    entry = mapping(item, "event")
    try:
        state = EventState(str(entry.get("state")))
    except ValueError as error:
        raise ContractError("event.state", f"{entry.get('state')!r}, not one of {[*EventState]}") from error
    return EventNotice(string(entry.get("event_id"), "event.event_id"), state, number(entry, "ends_at_s", "event"))
