"""What is known of one request when it has ended: the source of access log and spans. Pure; never holds a prompt.

The data path makes a record for a request only while someone listens, and fills it as things happen.
"""

from __future__ import annotations

import msgspec

from router.observe.trace_context import TraceContext


class Attempt(msgspec.Struct):
    """One try at one instance; times are monotonic.

    Attributes:
        outcome: see `router.exchange.Outcome`; empty while it lasts.
    """

    instance_id: str
    pool_id: str
    precision: str
    address: str
    began_s: float
    ended_s: float = 0.0
    outcome: str = ""


class Served(msgspec.Struct):
    """One request.

    Attributes:
        method, path: as sent; the path without its query, which may hold what is nobody's business.
        arrived_at_s: wall clock when the request was complete.
        received_s, sent_s, ended_s: monotonic: complete, last sent to an engine, over. None where it was not sent.
        bytes_in, bytes_out: of the two bodies.
        client_address: where the client is, or None where that is not to be told.
        request_id: the client's own name for it.
        caller: the place in a trace that the client sent, or None.
        context: the router's own place in that trace, or None without tracing.
        status: what the client was told; 0 where it left before it was told anything.
        outcome: of the last attempt; ``refused`` for a request that the router answered with an error,
            ``answered`` for one it answered itself.
        reason: machine-readable reason of a refusal, or None.
        model, stream, max_tokens: as asked for, None where the request says nothing of it.
        class_id: None where the request was refused before it had one.
        tenant: whose request it is, or None where the router is open.
        pool_id, instance_id, precision, degraded, sequence: of the last attempt, None without any.
        attempts: all of them, in order.
        ttft_s: from receipt to the first byte of a stream's body, or None.
        input_tokens, output_tokens: as told by the engine or estimated, None where nothing was generated.
    """

    method: str
    path: str
    arrived_at_s: float
    received_s: float
    bytes_in: int
    client_address: str | None = None
    request_id: str | None = None
    caller: TraceContext | None = None
    context: TraceContext | None = None
    status: int = 0
    outcome: str = ""
    reason: str | None = None
    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    class_id: str | None = None
    tenant: str | None = None
    pool_id: str | None = None
    instance_id: str | None = None
    precision: str | None = None
    degraded: bool | None = None
    sequence: int | None = None
    attempts: list[Attempt] = []
    bytes_out: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    sent_s: float | None = None
    ttft_s: float | None = None
    ended_s: float = 0.0

    @property
    def overhead_s(self) -> float | None:
        """Time from receipt to the moment it was sent to the engine that answered; None where none was asked."""
        return None if self.sent_s is None else self.sent_s - self.received_s

    @property
    def has_failed(self) -> bool:
        """Whether it ended as anything but a whole answer without error."""
        return self.status >= 400 or self.outcome not in ("ok", "answered")
