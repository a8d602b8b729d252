"""Messages of the Simple Network Time Protocol, version 4 (RFC 5905 §7.3 and §14); pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from controller.errors import SignalError

SIZE = 48
_HEADER = struct.Struct("!BBbb I I 4s Q Q Q Q")
_CLIENT, _SERVER, _VERSION = 3, 4, 4
_ERA_S = float(1 << 32)
_TO_UNIX_S = 2_208_988_800.0
"""From 1900-01-01, at which NTP's first era begins, to 1970-01-01."""
_FRACTION = float(1 << 32)
_MAX_STRATUM = 15
MAX_DISTANCE_S = 16.0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What one server says of this machine's clock.

    Attributes:
        offset_s: this machine's clock less the server's: positive where ours is ahead.
        bound_s: largest error of that: half of the way there and back, and what the server is off itself at most.
        stratum: how many steps the server is from a reference clock.
    """

    server: str
    offset_s: float
    bound_s: float
    stratum: int


def question(cookie: int) -> bytes:
    """What a client sends; the cookie, 64 random bits, comes back in the answer and tells it from a forged one."""
    return _HEADER.pack(_VERSION << 3 | _CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, cookie)


def read_answer(body: bytes, server: str, cookie: int, sent_s: float, came_s: float) -> ClockReading:
    """What an answer says.

    Args:
        body: of the datagram.
        server: who was asked.
        cookie: that was sent.
        sent_s: this machine's wall clock as the question left.
        came_s: the same as the answer came.

    Raises:
        SignalError: it is no answer to that question, or the server says that it does not know the time itself.
    """
    if len(body) < SIZE:
        raise SignalError(server, f"an answer of {len(body)} bytes, fewer than {SIZE}")
    first, stratum, _, _, root_delay, root_dispersion, what, _, echoed, heard, told = _HEADER.unpack(body[:SIZE])
    if first & 7 != _SERVER or echoed != cookie:
        raise SignalError(server, "an answer to another question")
    if stratum == 0:
        raise SignalError(server, f"it does not want to be asked: {what.decode('ascii', 'replace').strip(chr(0))!r:.8}")
    if first >> 6 == 3 or stratum > _MAX_STRATUM or told == 0:
        raise SignalError(server, "it is not synchronised itself")
    heard_s, told_s = _unix_s(heard, came_s), _unix_s(told, came_s)
    delay_s = max(0.0, (came_s - sent_s) - (told_s - heard_s))
    bound_s = delay_s / 2 + root_delay / 65_536.0 / 2 + root_dispersion / 65_536.0
    if bound_s > MAX_DISTANCE_S:
        raise SignalError(server, f"it is off by up to {bound_s:.0f} s itself")
    return ClockReading(server, ((sent_s - heard_s) + (came_s - told_s)) / 2, bound_s, stratum)


def _unix_s(stamp: int, near_s: float) -> float:
    """A time of 32 bits of seconds and 32 of their fraction, of the era that is nearest (the second begins in 2036)."""
    seconds = (stamp >> 32) + (stamp & 0xFFFFFFFF) / _FRACTION - _TO_UNIX_S
    return seconds + _ERA_S * round((near_s - seconds) / _ERA_S)
