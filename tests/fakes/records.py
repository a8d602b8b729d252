"""Records of requests, as the data path makes them."""

from __future__ import annotations

from typing import Any

from router.observe.served import Attempt, Served
from router.observe.trace_context import TraceContext
from router.settings import TracingSettings

TRACING = TracingSettings(endpoint="http://127.0.0.1:4318", sample_frac=1.0)
CALLER = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1, b"vendor=1")
ROUTER = TraceContext("0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7", 1, b"vendor=1")
ARRIVED_AT_S = 1_800_000_000.25


class Heard:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Served] = []

    def served(self, record: Served) -> None:
        self.records.append(record)


def attempt(outcome: str = "ok", instance: str = "fp8-0", began_s: float = 100.001) -> Attempt:
    return Attempt(instance, instance[:3], "fp8", "http://10.0.0.7:8000", began_s, began_s + 0.5, outcome)


def record(**over: Any) -> Served:
    """A stream that ended well, on the second attempt."""
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/chat/completions",
        "arrived_at_s": ARRIVED_AT_S,
        "received_s": 100.0,
        "bytes_in": 321,
        "request_id": "abc",
        "caller": CALLER,
        "context": ROUTER,
        "status": 200,
        "outcome": "ok",
        "model": "qwen",
        "stream": True,
        "max_tokens": 64,
        "class_id": "standard",
        "tenant": "team-a",
        "pool_id": "fp8",
        "instance_id": "fp8-0",
        "precision": "fp8",
        "degraded": True,
        "sequence": 12,
        "attempts": [attempt("reset", "fp8-1", 100.0005), attempt()],
        "bytes_out": 4567,
        "input_tokens": 10,
        "output_tokens": 50,
        "sent_s": 100.002,
        "ttft_s": 0.125,
        "ended_s": 101.5,
    }
    return Served(**{**fields, **over})
