"""When a pool was raised last, and until when it then keeps what it has. Pure.

Demand that is noisy says now and then that one instance less would do. Whoever follows that wakes it again a moment
later, so a pool from which nobody calls for less keeps its instances for a while after one of them was brought up.
"""

from __future__ import annotations

import math

from controller.lifecycle.memory import Intent, Phase, Raised
from controller.lifecycle.views import View
from controller.model.fleet import Pool

_UP = (Phase.SERVE, Phase.WAKE)


def raised_now(
    raised: tuple[Raised, ...], before: tuple[Intent, ...], views: tuple[View, ...], now_s: float
) -> tuple[Raised, ...]:
    """When each pool was raised last, after a tick.

    An instance that is told to wake or start raises its pool, and one that is to serve on though it was draining.

    Args:
        raised: as known so far.
        before: intents of the tick before.
        views: instances with what is intended now.
        now_s: wall clock.
    """
    were = {intent.instance_id: intent.phase for intent in before}
    pools = {
        view.pool.pool_id
        for view in views
        if view.intent.phase in _UP
        and were.get(view.instance.instance_id, view.intent.phase) not in _UP
        and (view.intent.phase is Phase.SERVE or view.intent.commanded_s is not None)
    }
    return (*(each for each in raised if each.pool_id not in pools), *(Raised(pool, now_s) for pool in sorted(pools)))


def settled_s(raised: tuple[Raised, ...], pool: Pool, freed_s: float) -> float:
    """Until when a pool keeps its instances, wall clock; -inf where it need not.

    Args:
        raised: when pools were raised.
        pool: its least time.
        freed_s: what was raised before that may go: a limit calls.
    """
    at_s = next((each.at_s for each in raised if each.pool_id == pool.pool_id), -math.inf)
    return at_s + pool.lower_after_s if at_s > freed_s else -math.inf
