"""The events of a streamed chat completion of two tokens."""

from __future__ import annotations

import json


def event(content: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    return sse({"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def sse(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


USAGE = sse({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}})
WHOLE = event("") + event(" a") + event(" b", "length") + USAGE + b"data: [DONE]\n\n"
