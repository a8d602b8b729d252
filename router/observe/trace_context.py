"""W3C Trace Context, level 1: which trace a request belongs to, and what the engine is told of it. Pure.

Source: https://www.w3.org/TR/trace-context-1/ (sections 3.2 and 3.3).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
MAX_TRACESTATE_BYTES = 512
"""A longer tracestate may be cut, 3.3.1.5; it is left out here, since a part of one means nothing."""
SAMPLED = 0x01

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits.
        span_id: 16 of them: the span that a request made from here is a child of.
        flags: bit 0 is set where the trace is recorded.
        state: tracestate as it came, or empty.
    """

    trace_id: str
    span_id: str
    flags: int
    state: bytes = b""

    @property
    def is_sampled(self) -> bool:
        """Whether those before recorded their part."""
        return bool(self.flags & SAMPLED)


def read(traceparent: bytes | None, tracestate: bytes | None) -> TraceContext | None:
    """The caller's place, or None without a valid traceparent; a tracestate without one counts for nothing, 3.3."""
    if traceparent is None:
        return None
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    # Version ff is invalid; 00 has nothing after its flags, later ones may, 3.2.2.1. All zeros is no id, 3.2.2.3.
    if version == b"ff" or (version == b"00" and rest) or not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    state = tracestate if tracestate is not None and len(tracestate) <= MAX_TRACESTATE_BYTES else b""
    return TraceContext(trace_id.decode(), span_id.decode(), int(flags, 16), state)


def child_of(parent: TraceContext | None, *, sample_frac: float, rng: random.Random) -> TraceContext:
    """The router's own place: in the caller's trace and recorded if that is, else in a new one, recorded by lot.

    Args:
        parent: the caller's place.
        sample_frac: share of new traces to record.
        rng: makes ids and draws lots.
    """
    span_id = f"{rng.getrandbits(64) or 1:016x}"
    if parent is not None:
        return TraceContext(parent.trace_id, span_id, parent.flags & SAMPLED, parent.state)
    flags = SAMPLED if rng.random() < sample_frac else 0
    return TraceContext(f"{rng.getrandbits(128) or 1:032x}", span_id, flags)


def field_lines(context: TraceContext) -> bytes:
    """What the engine gets: field lines, each ended by CRLF."""
    line = f"traceparent: 00-{context.trace_id}-{context.span_id}-{context.flags:02x}\r\n".encode("ascii")
    return line + b"tracestate: %b\r\n" % context.state if context.state else line
