"""A router's part of what an instance may have in flight, where several routers send to it. Pure.

Half is divided evenly among the routers that live, so that each has room for what may come; the other half by what
each has in flight or waiting, so that room goes where the work is:

    share = 0.5 / N + 0.5 · load / Σ load        over the N routers, load = in flight + waiting + 1

The shares of all routers come to 1 where all have heard the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from router.contract_presence import Heard

EVENLY = 0.5
_ROUNDING = 1e-9
"""What products of floats miss: 98 times a 49th is 2."""


def share_of(name: str, load: int, others: Mapping[str, Heard]) -> float:
    """The share of a router, above 0 and at most 1; 1 where it is alone.

    Args:
        name: its own.
        load: its own, as of now.
        others: the routers that live, itself perhaps among them.
    """
    loads = [each.load + 1 for other, each in others.items() if other != name]
    own = load + 1
    return EVENLY / (len(loads) + 1) + (1.0 - EVENLY) * own / (own + sum(loads))


def shared_cap(max_in_flight: int, share: float) -> int:
    """A router's part of a cap: no more than its share, but one where there is any at all."""
    return min(max_in_flight, max(1, int(max_in_flight * share + _ROUNDING)))
