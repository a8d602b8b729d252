"""Builders of calls, so that a test names only what it is about."""

from __future__ import annotations

from typing import Any

from controller.model.call import Asked, Call, CallInterval, Commitment
from tests.fakes.controller_parts import NOW_S


def interval(start_in_s: float = 0.0, length_s: float = 600.0, asked: Asked = Asked.AT_MOST_W, value: float = 9000.0):
    return CallInterval(NOW_S + start_in_s, NOW_S + start_in_s + length_s, Commitment(asked, value))


def call(call_id: str = "c1", *intervals: CallInterval, **changes: Any) -> Call:
    plain = {"source": "operator", "programme": "operator", "received_s": NOW_S, "modified_s": NOW_S}
    return Call(call_id=call_id, intervals=intervals or (interval(),), **(plain | changes))
