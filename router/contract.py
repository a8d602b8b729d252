"""What the controller tells the routers: the allocation table and its JSON form.

This module is the only thing the two planes share at run time. It is pure and imports the standard library alone, so
that either side, or a third program, can read and write tables without the rest.

A table is valid from the moment it is read until ``expires_at_s``. After that a router falls back to the static
weights of its own settings; it never obeys an expired table.

JSON form, ``schema_version`` 1 (unknown keys are ignored, so that a newer controller may add some)::

    {"schema_version": 1, "sequence": 42, "issued_at_s": 1.0, "expires_at_s": 31.0, "issuer": "controller-a",
     "weights": [{"class_id": "standard", "pools": [{"pool_id": "bf16", "weight": 0.7}, ...]}, ...],
     "caps": [{"instance_id": "bf16-0", "max_in_flight": 128}, ...],
     "draining": ["bf16-1"],
     "event": {"event_id": "e1", "state": "active", "ends_at_s": 1800.0} | null}

Beside the table goes a document of its own that changes much more often and that nothing is decided by: what a token
costs on each instance, in J, so that a router can tell a client the energy of its request. ``idle`` says whether the
figures hold a part of the idle energy (``shared``) or none (``kept``), the last item of a row how they are known
(``direct``, ``estimated``, ``emulated``)::

    {"schema_version": 1, "issued_at_s": 1.0, "expires_at_s": 31.0, "idle": "shared",
     "rates": [["bf16-0", 0.0213, 0.482, "direct"], ...]}
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NewType

SCHEMA_VERSION = 1
MAX_ENCODED_BYTES = 4 * 1024 * 1024
MAX_ENTRIES = 100_000
RATES_SUFFIX = ":energy"
"""Of the Redis key of the energy rates, after the table's."""
MAX_RATES_BYTES = 8 * 1024 * 1024
MAX_SEQ_TOKENS_PER_S = 1e6
"""Output tokens a second of one sequence that are believed."""
MAX_J_PER_TOKEN = 1e9
MAX_NUMBER = float(1 << 53)  # whole numbers up to here are exact in every reader's JSON

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


class ContractError(ValueError):
    """A table that must not be obeyed.

    Attributes:
        path: where in the table, e.g. ``weights[0].pools[2].weight``.
        problem: what is wrong there, with the offending value.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"allocation table: {path}: {problem}; the table is refused, the last good one stays")
        self.path = path
        self.problem = problem


class RatesError(ValueError):
    """Energy rates that cannot be used; the message names the place and the value."""


@dataclass(frozen=True, slots=True)
class EnergyRate:
    """What a prompt token and an output token cost on an instance, J; `quality` says how that is known.

    Attributes:
        seq_tokens_per_s: output tokens a second of one sequence while it was measured: a request has that much of its
            tokens at this rate. 0 where it was not measured just now.
    """

    instance_id: InstanceId
    prefill_j: float
    decode_j: float
    quality: str
    seq_tokens_per_s: float = 1.0


@dataclass(frozen=True, slots=True)
class EnergyRates:
    """The rates of all instances that serve; after `expires_at_s` they say nothing any more.

    Attributes:
        idle: what the rates hold of idle energy: ``shared`` or ``kept``.
    """

    issued_at_s: float
    expires_at_s: float
    idle: str
    rates: tuple[EnergyRate, ...]


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
    root = _mapping(data, "$")
    version = root.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ContractError("schema_version", f"{version!r}, this reader knows {SCHEMA_VERSION}")
    issued_at_s = _number(root, "issued_at_s", "$")
    expires_at_s = _number(root, "expires_at_s", "$")
    if expires_at_s <= issued_at_s:
        raise ContractError("expires_at_s", f"{expires_at_s} is not after issued_at_s {issued_at_s}")
    return AllocationTable(
        sequence=_integer(root, "sequence", "$", minimum=0),
        issued_at_s=issued_at_s,
        expires_at_s=expires_at_s,
        issuer=_string(root.get("issuer"), "issuer"),
        weights=tuple(_class_weights(item, f"weights[{i}]") for i, item in enumerate(_items(root, "weights"))),
        caps=tuple(_cap(item, f"caps[{i}]") for i, item in enumerate(_items(root, "caps"))),
        draining=tuple(InstanceId(_string(item, f"draining[{i}]")) for i, item in enumerate(_items(root, "draining"))),
        event=_event(root.get("event")),
    )


def _class_weights(item: Any, path: str) -> ClassWeights:
    entry = _mapping(item, path)
    pools = tuple(
        PoolWeight(
            PoolId(_string(_mapping(pool, f"{path}.pools[{i}]").get("pool_id"), f"{path}.pools[{i}].pool_id")),
            _number(pool, "weight", f"{path}.pools[{i}]", minimum=0.0),
        )
        for i, pool in enumerate(_items(entry, "pools", path))
    )
    if not any(pool.weight > 0 for pool in pools):
        raise ContractError(f"{path}.pools", "no pool has a positive weight")
    if len({pool.pool_id for pool in pools}) != len(pools):
        raise ContractError(f"{path}.pools", "a pool is named twice")
    return ClassWeights(ClassId(_string(entry.get("class_id"), f"{path}.class_id")), pools)


def _cap(item: Any, path: str) -> InstanceCap:
    entry = _mapping(item, path)
    return InstanceCap(
        InstanceId(_string(entry.get("instance_id"), f"{path}.instance_id")),
        _integer(entry, "max_in_flight", path, minimum=0),
    )


def _event(item: Any) -> EventNotice | None:
    if item is None:
        return None
    entry = _mapping(item, "event")
    try:
        state = EventState(str(entry.get("state")))
    except ValueError as error:
        raise ContractError("event.state", f"{entry.get('state')!r}, not one of {[*EventState]}") from error
    return EventNotice(_string(entry.get("event_id"), "event.event_id"), state, _number(entry, "ends_at_s", "event"))


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ContractError(path, f"an object is expected, not {type(value).__name__}")
    return value


def _items(entry: dict[str, Any], key: str, path: str = "") -> list[Any]:
    value = entry.get(key, [])
    where = f"{path}.{key}" if path else key
    if not isinstance(value, list):
        raise ContractError(where, f"a list is expected, not {type(value).__name__}")
    if len(value) > MAX_ENTRIES:
        raise ContractError(where, f"{len(value)} entries, more than {MAX_ENTRIES}")
    return value


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 256:
        raise ContractError(path, f"a name of 1 to 256 characters is expected, not {value!r:.80}")
    return value


def _number(entry: dict[str, Any], key: str, path: str, minimum: float | None = None) -> float:
    value = entry.get(key)
    where = key if path == "$" else f"{path}.{key}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise ContractError(where, f"a finite number is expected, not {value!r:.80}")
    if minimum is not None and value < minimum:
        raise ContractError(where, f"{value!r} is less than {minimum}")
    return float(value)


def _integer(entry: dict[str, Any], key: str, path: str, minimum: int) -> int:
    value = entry.get(key)
    where = key if path == "$" else f"{path}.{key}"
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= MAX_NUMBER:
        raise ContractError(where, f"a whole number of at least {minimum} is expected, not {value!r:.80}")
    return value


def encode_rates(rates: EnergyRates) -> bytes:
    """JSON form of energy rates, UTF-8; four digits of each, which is more than any meter has."""
    rows = [
        [
            rate.instance_id,
            float(f"{rate.prefill_j:.4g}"),
            float(f"{rate.decode_j:.4g}"),
            rate.quality,
            float(f"{rate.seq_tokens_per_s:.4g}"),
        ]
        for rate in rates.rates
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "issued_at_s": rates.issued_at_s,
        "expires_at_s": rates.expires_at_s,
        "idle": rates.idle,
        "rates": rows,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_rates(raw: bytes) -> EnergyRates:
    """Read and check energy rates.

    Raises:
        RatesError: naming the place and the value, for anything malformed, unbounded or of another schema version.
    """
    if len(raw) > MAX_RATES_BYTES:
        raise RatesError(f"energy rates: {len(raw)} bytes, more than {MAX_RATES_BYTES}")
    try:
        root = _mapping(json.loads(raw), "$")
        if root.get("schema_version") != SCHEMA_VERSION:
            raise ContractError("schema_version", f"{root.get('schema_version')!r}, this reader knows {SCHEMA_VERSION}")
        return EnergyRates(
            issued_at_s=_number(root, "issued_at_s", "$"),
            expires_at_s=_number(root, "expires_at_s", "$"),
            idle=_idle(root.get("idle")),
            rates=tuple(_rate(item, f"rates[{i}]") for i, item in enumerate(_items(root, "rates"))),
        )
    except ContractError as error:
        raise RatesError(f"energy rates: {error.path}: {error.problem}") from error
    except (ValueError, RecursionError) as error:
        raise RatesError(f"energy rates: not JSON ({error})") from error


def _rate(item: Any, path: str) -> EnergyRate:
    if not isinstance(item, list) or len(item) < 4:
        raise ContractError(path, f"[instance, J, J, quality, seq_tokens_per_s] is expected, not {item!r:.80}")
    figures = {"prefill_j": item[1], "decode_j": item[2], "seq_tokens_per_s": item[4] if len(item) > 4 else 1.0}
    prefill_j, decode_j, seq_tokens_per_s = (_number(figures, name, path, minimum=0.0) for name in figures)
    speed = min(seq_tokens_per_s, MAX_SEQ_TOKENS_PER_S)
    if max(prefill_j, decode_j) > MAX_J_PER_TOKEN:
        raise ContractError(path, f"{max(prefill_j, decode_j)!r} J a token, more than {MAX_J_PER_TOKEN:g}")
    quality = _string(item[3], f"{path}[3]")
    if not quality.isalpha() or not quality.isascii():
        raise ContractError(f"{path}[3]", f"{quality!r:.80} is no word")
    return EnergyRate(InstanceId(_string(item[0], f"{path}[0]")), prefill_j, decode_j, quality, speed)


def _idle(value: Any) -> str:
    if value not in ("shared", "kept"):
        raise ContractError("idle", f"{value!r:.80}, 'shared' or 'kept' is expected")
    return str(value)
