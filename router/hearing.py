"""Which routers live, by when this one last saw that another told something new of itself. Pure.

Their clocks are not compared: one that was set would have all others take a router for gone, and its share of the caps
with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.contract_presence import Heard


class Hearing:
    """What was heard, and since when it is the same.

    Args:
        stale_s: one that has told nothing new for so long is gone.
        forget_s: and for so long, is not worth remembering.
    """

    def __init__(self, stale_s: float, forget_s: float) -> None:
        self._stale_s = stale_s
        self._forget_s = forget_s
        self._since_s: dict[str, tuple[Heard, float]] = {}

    def live(self, heard: Mapping[str, Heard], now_s: float) -> dict[str, Heard]:
        """Take what all tell now; those that live. One that was not heard of before is believed at first.

        Args:
            heard: by router.
            now_s: monotonic.
        """
        before = self._since_s
        self._since_s = {
            name: before[name] if name in before and before[name][0] == each else (each, now_s)
            for name, each in heard.items()
        }
        return {name: each for name, (each, since_s) in self._since_s.items() if now_s - since_s <= self._stale_s}

    def forgotten(self, now_s: float) -> set[str]:
        """Those that have been gone for long."""
        return {name for name, (_, since_s) in self._since_s.items() if now_s - since_s > self._forget_s}
