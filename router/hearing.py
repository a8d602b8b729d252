"""Which routers live, by when this one last saw that another told something new of itself. Pure.

Their clocks are not compared: one that was set would have all others take a router for gone, and its share of the caps
with it. Nor does one look suffice: the first after Redis was away shows what all told before, and the first router
that is back would take the share of all others. How long a silence may be each router tells itself, by its interval:
those that tell often would else take one that tells seldom for gone between any two of its words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from router.contract_presence import Heard

STALE_INTERVALS = 5.0
"""A router that has told nothing for so many of its intervals counts as gone."""
LEAST_STALE_S = 5.0
LOOKS = 3
"""So many looks in a row must have shown nothing new of a router that is gone."""


@dataclass(frozen=True, slots=True)
class _Word:
    """What a router told last, when that was first seen, and how many looks have shown it since."""

    heard: Heard
    since_s: float
    looks: int = 0


def stale_s(interval_s: float) -> float:
    """How long a router that tells at this interval may be silent."""
    return max(LEAST_STALE_S, STALE_INTERVALS * interval_s)


class Hearing:
    """What was heard, and since when it is the same.

    Args:
        interval_s: taken for that of routers that do not say theirs.
        forget_s: one that has told nothing new for so long is not worth remembering.
    """

    def __init__(self, interval_s: float, forget_s: float) -> None:
        self._interval_s = interval_s
        self._forget_s = forget_s
        self._words: dict[str, _Word] = {}

    def live(self, heard: Mapping[str, Heard], now_s: float) -> dict[str, Heard]:
        """Take what all tell now; those that live. One that was not heard of before is believed at first.

        Args:
            heard: by router.
            now_s: monotonic.
        """
        self._words = {name: _after(self._words.get(name), each, now_s) for name, each in heard.items()}
        return {name: word.heard for name, word in self._words.items() if self._is_live(word, now_s)}

    def forgotten(self, now_s: float) -> set[str]:
        """Those that have been gone for long."""
        gone = {name: word for name, word in self._words.items() if not self._is_live(word, now_s)}
        return {name for name, word in gone.items() if now_s - word.since_s > self._forget_s}

    def _is_live(self, word: _Word, now_s: float) -> bool:
        return word.looks < LOOKS or now_s - word.since_s <= stale_s(word.heard.interval_s or self._interval_s)


def _after(before: _Word | None, heard: Heard, now_s: float) -> _Word:
    if before is None or before.heard != heard:
        return _Word(heard, now_s)
    return _Word(heard, before.since_s, before.looks + 1)
