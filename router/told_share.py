"""The router's share of caps where routers hear nothing of each other, but from the controller how many they are. Pure.

Each then has an even part: nobody tells it what the others have to do. More routers count as soon as they are told of,
fewer once several documents in a row have told so: a controller that has just begun may not have heard all of them.
A number does not grow old, as routers do not vanish because the controller does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

LOOKS = 3
"""The most of so many numbers in a row counts."""


class ToldShare:
    """What the controller tells, and the share that follows from it.

    Args:
        apply: goes by a share from now on; None where caps are not shared.
    """

    def __init__(self, apply: Callable[[float], None] | None) -> None:
        self._apply = apply
        self._told: deque[int] = deque(maxlen=LOOKS)

    def hear(self, routers: int) -> None:
        """The controller has heard of so many routers; of none is to say that it does not know."""
        if routers < 1:
            return
        self._told.append(routers)
        if self._apply is not None:
            self._apply(self._share)

    def gauges(self) -> dict[str, float]:
        """What is told of it on the admin port; nothing before the first number."""
        if not self._told:
            return {}
        return {"routers_known": float(max(self._told)), "caps_share_frac": self._share}

    @property
    def _share(self) -> float:
        return 1.0 if self._apply is None else 1.0 / max(self._told)
