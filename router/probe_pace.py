"""When an engine is to be asked next, and whether the controller's word on it stands for the router's own look. Pure.

The controller's word puts no engine out of service and brings none back. It stands in for looks of the router's own
only where these have said the same, so often in a row as health asks for: then the router looks as seldom as there are
routers, so that all of them together ask an engine as often as one. Where the two differ, where the controller knows
nothing, and where requests have failed, the router looks at its own pace, and goes by what it sees itself.
"""

from __future__ import annotations

import math

from router.contract_loads import EngineState
from router.settings import HealthSettings

MAX_INTERVAL_S = 300.0
"""However many routers there are, each looks for itself about so often."""
WIDER = 5.0
"""The rarer looks are spread so much more: those of routers that were started together would else come together."""


class Pace:
    """Of one instance.

    Args:
        settings: interval, and how many looks in a row decide on health.
    """

    __slots__ = (
        "_alike",
        "_asked_at_s",
        "_found",
        "_interval_s",
        "_not_before_s",
        "_settled_after",
        "_spread",
        "_told",
    )

    def __init__(self, settings: HealthSettings) -> None:
        self._interval_s = settings.probe_interval_s
        self._settled_after = max(settings.eject_after, settings.recover_after)
        self._found: EngineState | None = None
        self._told: EngineState | None = None
        self._alike = 0
        self._asked_at_s = self._not_before_s = -math.inf
        self._spread = 1.0

    def found(self, state: EngineState | None, now_s: float, spread: float) -> None:
        """The router has looked; `state` is None where the engine is well and tells no load.

        Args:
            state: what it saw.
            now_s: monotonic.
            spread: factor of the interval until the next look.
        """
        self._alike = self._alike + 1 if state is self._found else 1
        self._found, self._asked_at_s, self._spread = state, now_s, spread
        self._not_before_s = -math.inf

    def hear(self, told: EngineState | None, not_before_s: float = -math.inf) -> bool:
        """The controller says so, or nothing any more (None); whether that changes when to look.

        `not_before_s` spreads the looks of many routers that hear no more at one moment.
        """
        before, self._told = self.agrees, told
        if before is not self.agrees:
            self._not_before_s = not_before_s
            return True
        return False

    def doubt(self) -> None:
        """A request has failed: look as soon as the router's own pace allows, and at that pace for a while."""
        self._alike = 0
        self._not_before_s = -math.inf

    @property
    def agrees(self) -> bool:
        """Whether the controller's word stands for the router's own looks."""
        return self._told is not None and self._told is self._found and self._alike >= self._settled_after

    def due_s(self, routers: int) -> float:
        """When to look next, with so many routers; one that is past is now."""
        own_s = self._asked_at_s + self._interval_s * self._spread
        if not self.agrees or routers <= 1:
            return max(self._not_before_s, own_s)
        interval_s = min(self._interval_s * routers, MAX_INTERVAL_S)
        return max(own_s, self._asked_at_s + interval_s * (1.0 + WIDER * (self._spread - 1.0)))
