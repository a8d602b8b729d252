"""What routers tell of themselves in Redis, for each other and for the controller; pure.

Beside the table's key stand a hash of the routers' names, each with when it told of itself last and its load, and for
each router a key with its state, which expires by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

ROUTERS_SUFFIX = ":routers"
"""After the key of the table: the hash."""
STATE_SUFFIX = ":router:"
"""After the key of the table and before a router's name: its state."""
MAX_ROUTERS = 4096
"""Routers that are believed to be; a hash with more is a fault."""
MAX_STATE_BYTES = 32 << 20
"""Most bytes of a state that is unpacked."""
MAX_INTERVAL_S = 86_400.0
"""As long as `table.poll_interval_s` may be."""
_UNKNOWN = "-"
_MAX_HEARD_BYTES = 128
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Heard:
    """What a router told of itself.

    Attributes:
        told_s: wall clock of the router; nobody goes by it, but it makes each telling another one.
        load: requests in flight and waiting.
        sequence: of the table it obeys, -1 without one.
        identity: of the process that tells, another one at each start; empty where it does not say.
        interval_s: time between two tellings; 0 where it does not say.
    """

    told_s: float
    load: int
    sequence: int = -1
    identity: str = ""
    interval_s: float = 0.0


def encode_heard(heard: Heard) -> bytes:
    """As it stands in Redis."""
    identity = heard.identity or _UNKNOWN
    return f"{heard.told_s:.3f} {heard.load} {heard.sequence} {identity} {heard.interval_s:g}".encode()


def decode_heard(data: bytes) -> Heard | None:
    """What stands in Redis; None where a router could not have written it."""
    parts = data[:_MAX_HEARD_BYTES].split()
    try:
        heard = Heard(float(parts[0]), int(parts[1]), int(parts[2]), *_later_parts(parts[3:]))
    except (ValueError, IndexError):
        return None
    return heard if heard.load >= 0 and abs(heard.told_s) < 1e11 else None


def _later_parts(parts: list[bytes]) -> tuple[str, float]:
    """Identity and interval, which older versions do not tell."""
    identity = parts[0].decode(errors="replace") if parts else _UNKNOWN
    try:
        interval_s = float(parts[1])
    except (ValueError, IndexError):
        interval_s = 0.0
    return "" if identity == _UNKNOWN else identity, interval_s if 0.0 < interval_s <= MAX_INTERVAL_S else 0.0


def decode_routers(entries: Mapping[bytes | str, bytes | str]) -> dict[str, Heard]:
    """The hash as Redis gives it, by router; what no router could have written is left out."""
    heard = {}
    for name, data in entries.items():
        each = decode_heard(as_bytes(data))
        if each is not None:
            heard[router_name(name)] = each
    return heard


def as_bytes(data: bytes | str) -> bytes:
    """A value as it stands in Redis, whose client may give it as text."""
    return data if isinstance(data, bytes) else data.encode()


def router_name(name: bytes | str) -> str:
    """A router's name as Redis gives it."""
    return name if isinstance(name, str) else name.decode(errors="replace")


def pack_state(document: bytes) -> bytes:
    """A state as it stands in Redis."""
    return zlib.compress(document, _LEVEL)


def unpack_state(data: bytes, max_bytes: int | None = None) -> bytes:
    """A state from Redis.

    Raises:
        ValueError: it is none, is cut short, or is larger than `max_bytes`, by default `MAX_STATE_BYTES`.
    """
    max_bytes = MAX_STATE_BYTES if max_bytes is None else max_bytes
    unpacking = zlib.decompressobj()
    try:
        document = unpacking.decompress(data, max_bytes)
    except zlib.error as error:
        raise ValueError(f"not compressed as a router does it ({error})") from error
    if not unpacking.eof:
        raise ValueError(f"cut short, or more than {max_bytes} bytes")
    return document
