"""How a router that keeps to an allocation table spreads constant flows of requests over instances. Pure.

Flows are requests/s. A class goes to pools in proportion to its weights; what a pool has no room for goes to the
class's other pools by their weights; what is left waits. Within a pool the instances with the fewest requests are
filled first, as the real router picks the instance with the fewest in flight.
"""

from __future__ import annotations

import numpy as np

_NOTHING = 1e-12
_HALVINGS = 40
"""Of the interval in which the common level lies: enough for a ten-thousandth of a request."""


def over_pools(
    wanted: np.ndarray, weights: np.ndarray, room: np.ndarray, priority: np.ndarray | None = None
) -> np.ndarray:
    """Flow of each class to each pool, (R, K) requests/s.

    Where classes want more of a pool than it has room for, those of higher priority come first; of equal priority,
    each gets the same share of what it wants.

    Args:
        wanted: (R,) flow that each class has to place.
        weights: (R, K), 0 where the class does not use the pool.
        room: (K,) flow that each pool can take, possibly infinite.
        priority: (R,), None where all are equal.
    """
    if priority is None or np.ptp(priority) == 0:
        return _shared(wanted, weights, room)
    given, free = np.zeros(weights.shape), room.astype(float)
    for level in sorted(set(priority.tolist()), reverse=True):
        part = _shared(np.where(priority == level, wanted, 0.0), weights, free)
        given += part
        free = np.maximum(0.0, free - part.sum(axis=0))
    return given


def _shared(wanted: np.ndarray, weights: np.ndarray, room: np.ndarray) -> np.ndarray:
    left, free = wanted.astype(float), room.astype(float)
    given = np.zeros(weights.shape)
    for _ in range(weights.shape[1]):
        open_to = np.where(free > _NOTHING, weights, 0.0)
        total = open_to.sum(axis=1)
        share = np.divide(left, total, out=np.zeros_like(left), where=total > 0)[:, None] * open_to
        need = share.sum(axis=0)
        if need.sum() <= _NOTHING:
            break
        part = share * np.divide(free, need, out=np.ones_like(free), where=need > free)
        given += part
        free = np.maximum(0.0, free - part.sum(axis=0))
        left = np.maximum(0.0, left - part.sum(axis=1))
        if left.sum() <= 0.5 * _NOTHING:
            break
    return given


def over_instances(flow: float, kept: np.ndarray, gain_s: np.ndarray, cap: np.ndarray) -> np.ndarray:
    """Flow to each instance of a pool, (I,) requests/s, that brings them to a common level where it can.

    Args:
        flow: requests/s to place; at most what brings every instance to its cap.
        kept: (I,) requests that each still has at the step's end, without new ones.
        gain_s: (I,) requests at the step's end for each request/s it gets.
        cap: (I,) most requests each may have.
    """
    if np.ptp(kept) <= 1e-9 and np.ptp(gain_s) <= 1e-12 and flow * gain_s[0] <= (cap.min() - kept[0]) * len(kept):
        return np.full(len(kept), flow / len(kept))
    low, high = float(kept.min()), float(max(cap.max(), kept.max()))
    for _ in range(_HALVINGS):
        level = 0.5 * (low + high)
        if float(_filled(level, kept, gain_s, cap).sum()) < flow:
            low = level
        else:
            high = level
    placed = _filled(high, kept, gain_s, cap)
    total = float(placed.sum())
    return placed * (flow / total) if total > 0 else placed


def _filled(level: float, kept: np.ndarray, gain_s: np.ndarray, cap: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(0.0, np.minimum(level, cap) - kept) / gain_s)
