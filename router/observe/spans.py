"""The span of one request, after OpenTelemetry's conventions for generative AI and HTTP. Pure.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans and .../http/http-spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from router.observe.served import Attempt, Served
from router.observe.trace_context import TraceContext

Attributes = Mapping[str, str | bool | int | float]

_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "chat",
    "/v1/responses": "chat",
}
MAX_TEXT = 256
"""Longest text of the client's that is told; the rest is cut."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span, at a time in nanoseconds since the epoch."""

    name: str
    at_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """One span; times are nanoseconds since the epoch.

    Attributes:
        context: trace, id and state of the span.
        parent: the caller's place, or None for the first span of a trace.
        error: what went wrong, or None.
    """

    name: str
    context: TraceContext
    parent: TraceContext | None
    begin_ns: int
    end_ns: int
    attributes: Attributes
    events: tuple[Event, ...]
    error: str | None


def span_of(record: Served, context: TraceContext) -> Span:
    """What the router did for a request, as a child of what the caller did."""

    def at_ns(monotonic_s: float) -> int:
        return round((record.arrived_at_s + monotonic_s - record.received_s) * 1e9)

    operation = _OPERATIONS.get(record.path)
    model = None if record.model is None else record.model[:MAX_TEXT]
    events = [_attempt_event(attempt, at_ns(attempt.began_s)) for attempt in record.attempts]
    if record.ttft_s is not None:
        first_ns = at_ns(record.received_s + record.ttft_s)
        events.append(Event("first_token", first_ns, {"wattroute.ttft_s": record.ttft_s}))
    return Span(
        name=" ".join(filter(None, (operation, model))) if operation else record.method,
        context=context,
        parent=record.caller,
        begin_ns=at_ns(record.received_s),
        end_ns=at_ns(record.ended_s),
        attributes=_attributes(record, operation, model),
        # A client's own error is none of the server's span, as the conventions for HTTP have it.
        error=_error_of(record) if record.status >= 500 or record.outcome not in _HARMLESS else None,
        events=tuple(events),
    )


_HARMLESS = frozenset({"ok", "answered", "refused", "client_error", "client_gone"})


def _error_of(record: Served) -> str:
    return record.reason or record.outcome


def _attributes(record: Served, operation: str | None, model: str | None) -> Attributes:
    last = record.attempts[-1] if record.attempts else None
    engine = urlsplit("" if last is None else last.address)
    return _known(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": record.max_tokens,
            "gen_ai.usage.input_tokens": record.input_tokens,
            "gen_ai.usage.output_tokens": record.output_tokens,
            "http.request.method": record.method,
            "http.request.body.size": record.bytes_in,
            "http.response.body.size": record.bytes_out,
            "http.response.status_code": record.status or None,
            "url.path": record.path[:MAX_TEXT],
            "server.address": engine.hostname or engine.path or None,
            "server.port": engine.port,
            "client.address": record.client_address,
            "error.type": _error_of(record) if record.has_failed else None,
            "wattroute.class": record.class_id,
            "wattroute.tenant": record.tenant,
            "wattroute.pool": record.pool_id,
            "wattroute.instance": record.instance_id,
            "wattroute.precision": record.precision,
            "wattroute.degraded": record.degraded,
            "wattroute.sequence": record.sequence,
            "wattroute.attempts": len(record.attempts),
            "wattroute.overhead_s": record.overhead_s,
        }
    )


def _attempt_event(attempt: Attempt, at_ns: int) -> Event:
    return Event(
        "attempt",
        at_ns,
        _known(
            {
                "wattroute.instance": attempt.instance_id,
                "wattroute.pool": attempt.pool_id,
                "wattroute.precision": attempt.precision,
                "wattroute.outcome": attempt.outcome or None,
                "wattroute.duration_s": attempt.ended_s - attempt.began_s if attempt.outcome else None,
            }
        ),
    )


def _known(values: Mapping[str, str | bool | int | float | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
