"""A few clients' requests kept for canaries: short, deterministic ones, drawn by chance. Pure.

A canary asks an engine again what a client asked, and compares the answers; that needs requests that have one right
answer. What is kept is a small ring in memory that only the admin port shows; nothing of it is logged or written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from router.contract import ClassId
from router.settings.canary import SampleSettings

PATHS = {b"/v1/chat/completions": "/v1/chat/completions", b"/v1/completions": "/v1/completions"}
"""Targets whose requests may be kept."""


class Sample(msgspec.Struct, frozen=True):
    """A request that was kept.

    Attributes:
        sample_id: tells it from others.
        path: what was asked for.
        class_id: its class.
        body: its JSON text, as it was sent to the engine.
    """

    sample_id: str
    path: str
    class_id: ClassId
    body: str


class _Facts(msgspec.Struct):
    temperature: float | None = None
    top_k: int | None = None
    n: int | None = None
    best_of: int | None = None
    tools: Any = None
    functions: Any = None


_decoder = msgspec.json.Decoder(_Facts)


def is_deterministic(body: bytes | bytearray) -> bool:
    """Whether a body asks for one greedy answer and calls no tools."""
    try:
        facts = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    if facts.temperature != 0 and facts.top_k != 1:
        return False
    return facts.n in (None, 1) and facts.best_of in (None, 1) and not facts.tools and not facts.functions


class Sampler:
    """The ring of one worker.

    Args:
        settings: share, sizes.
        chance: gives random numbers, 0..1.
    """

    def __init__(self, settings: SampleSettings, chance: Callable[[], float]) -> None:
        self._frac = settings.frac
        self._max_body_bytes = settings.max_body_bytes
        self._chance = chance
        self._ring: deque[Sample] = deque(maxlen=settings.keep)

    def offer(self, target: bytes, body: bytes | bytearray | None, class_id: ClassId) -> None:
        """Keep a request if chance will have it and it is of use."""
        if self._chance() >= self._frac or not body or len(body) > self._max_body_bytes:
            return
        path = PATHS.get(target)
        if path is None or not is_deterministic(body):
            return
        try:
            text = body.decode()
        except UnicodeDecodeError:  # within what the decoder skips
            return
        sample_id = f"{int(self._chance() * (1 << 53)):014x}"
        self._ring.append(Sample(sample_id, path, class_id, text))

    def samples(self) -> list[Sample]:
        """What is kept, oldest first."""
        return list(self._ring)
