"""Tells the routers what was read of the engines at each look of the loop, so that not every router need ask them all.

Nothing is commanded by it, and it is told in every mode: routers take it for as long as it agrees with what they see
themselves (`router.probe_pace`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from controller.actuators.loads_board import LoadsBoard
from controller.model.observation import InstanceObservation, InstanceState
from router.contract_loads import MAX_REQUESTS, MAX_ROUTERS_TOLD, EngineState, InstanceLoad, Loads

LOADS_TTL_S = 10.0
"""How long loads stay in Redis when the controller is gone; routers go by them for less."""
_STATES = {InstanceState.SERVING: EngineState.SERVING, InstanceState.SLEEPING: EngineState.SLEEPING}


class LoadsStore(Protocol):
    """Where loads are put for routers that do not ask over HTTP."""

    async def put_loads(self, body: bytes, ttl_s: float) -> None:
        """Write them; raises `ActuationError` where that fails."""


class LoadDesk:
    """What the loop calls at each look.

    Args:
        board: for routers that ask over HTTP.
        routers: how many routers are heard of.
        began_s: the time at which this process began; sequences go on from there, so that no two processes' are alike.
        store: None where routers ask over HTTP.
    """

    def __init__(
        self, board: LoadsBoard, routers: Callable[[], int], *, began_s: float, store: LoadsStore | None = None
    ) -> None:
        self._board = board
        self._routers = routers
        self._sequence = max(0, int(1e3 * began_s))
        self._store = store

    async def tell(self, instances: tuple[InstanceObservation, ...]) -> None:
        """Give the routers what was read.

        Raises:
            ActuationError: it did not reach Redis; those that ask over HTTP are told.
        """
        self._sequence += 1
        routers = min(MAX_ROUTERS_TOLD, max(0, self._routers()))
        posted = self._board.post(Loads(self._sequence, routers, tuple(map(_load_of, instances))))
        if self._store is not None:
            await self._store.put_loads(posted.body, LOADS_TTL_S)


def _load_of(seen: InstanceObservation) -> InstanceLoad:
    running, waiting = (min(MAX_REQUESTS, max(0, count)) for count in (seen.running, seen.waiting))
    state = EngineState.AWAY if seen.is_unproven else _STATES.get(seen.state, EngineState.AWAY)
    return InstanceLoad(seen.instance_id, state, running, waiting, seen.kv_cache_usage_frac)
