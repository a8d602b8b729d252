"""What the controller tells the routers of the engines: their states and loads, as it has read them itself.

With many routers each would ask every engine, so many times as there are routers; the controller asks them anyway. Its
document is small and stands in columns, an engine a place in each, ``states`` one letter an engine::

    {"schema_version": 1, "sequence": 7, "routers": 3,
     "instances": ["bf16-0", "fp8-0"], "states": "sz", "running": [8, 0], "waiting": [2, 0], "kv_permille": [412, 0]}

The sequence is another in every document, and all that tells how old one is: no clock is compared. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from router.contract import SCHEMA_VERSION, InstanceId
from router.contract_fields import ContractError, integer, items, mapping, string

LOADS_SUFFIX = ":loads"
"""Of the Redis key of the loads, after the table's."""
MAX_LOADS_BYTES = 8 * 1024 * 1024
MAX_REQUESTS = 10**9
"""Requests of one engine that are believed."""
MAX_ROUTERS_TOLD = 4096
_FULL = 1000


class EngineState(StrEnum):
    """How the controller found an engine; each value is the letter in the document."""

    SERVING = "s"
    SLEEPING = "z"
    AWAY = "-"
    """It does not answer, or is on its way up or down."""


class LoadsError(ValueError):
    """Loads that cannot be used; the message names the place and the value."""


@dataclass(frozen=True, slots=True)
class InstanceLoad:
    """What one engine told of itself: requests in its batch and in its queue, and the share of its KV cache in use."""

    instance_id: InstanceId
    state: EngineState
    running: int = 0
    waiting: int = 0
    kv_cache_usage_frac: float = 0.0


@dataclass(frozen=True, slots=True)
class Loads:
    """One look of the controller at all engines.

    Attributes:
        sequence: another one than that of the look before.
        routers: how many routers the controller hears of.
    """

    sequence: int
    routers: int
    instances: tuple[InstanceLoad, ...]


def encode_loads(loads: Loads) -> bytes:
    """JSON form of loads, UTF-8."""
    every = loads.instances
    document = {
        "schema_version": SCHEMA_VERSION,
        "sequence": loads.sequence,
        "routers": loads.routers,
        "instances": [each.instance_id for each in every],
        "states": "".join(each.state.value for each in every),
        "running": [each.running for each in every],
        "waiting": [each.waiting for each in every],
        "kv_permille": [round(_FULL * min(1.0, max(0.0, each.kv_cache_usage_frac))) for each in every],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_loads(raw: bytes) -> Loads:
    """Read and check loads.

    Raises:
        LoadsError: naming the place and the value, for anything malformed, unbounded or of another schema version.
    """
    if len(raw) > MAX_LOADS_BYTES:
        raise LoadsError(f"engines' loads: {len(raw)} bytes, more than {MAX_LOADS_BYTES}")
    try:
        root = mapping(json.loads(raw), "$")
        if root.get("schema_version") != SCHEMA_VERSION:
            raise ContractError("schema_version", f"{root.get('schema_version')!r}, this reader knows {SCHEMA_VERSION}")
        routers = integer(root, "routers", "$", 0)
        if routers > MAX_ROUTERS_TOLD:
            raise ContractError("routers", f"{routers}, more than {MAX_ROUTERS_TOLD}")
        return Loads(integer(root, "sequence", "$", 0), routers, _instances(root))
    except ContractError as error:
        raise LoadsError(f"engines' loads: {error.path}: {error.problem}") from error
    except (ValueError, RecursionError) as error:
        raise LoadsError(f"engines' loads: not JSON ({error})") from error


def _instances(root: dict[str, Any]) -> tuple[InstanceLoad, ...]:
    names = [InstanceId(string(name, f"instances[{i}]")) for i, name in enumerate(items(root, "instances"))]
    if len(set(names)) != len(names):
        raise ContractError("instances", "a name appears more than once")
    letters = root.get("states")
    if not isinstance(letters, str) or len(letters) != len(names) or not set(letters) <= set(EngineState):
        raise ContractError("states", f"{len(names)} letters of {''.join(EngineState)!r} are expected")
    running, waiting = (_column(root, key, len(names), MAX_REQUESTS) for key in ("running", "waiting"))
    permille = _column(root, "kv_permille", len(names), _FULL)
    rows = zip(names, letters, running, waiting, permille, strict=True)
    return tuple(InstanceLoad(name, EngineState(each), run, wait, kv / _FULL) for name, each, run, wait, kv in rows)


def _column(root: dict[str, Any], key: str, count: int, most: int) -> Sequence[int]:
    """The whole numbers of that name, one an instance."""
    values = items(root, key)
    if len(values) != count:
        raise ContractError(key, f"{len(values)} entries for {count} instances")
    for i, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= most:
            raise ContractError(f"{key}[{i}]", f"a whole number from 0 to {most} is expected, not {value!r:.80}")
    return values
