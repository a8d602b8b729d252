"""Headroom: the room kept for queueing tails may be used, at a price, before a class yields."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def headroom_bound(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Engine time beyond η is bounded by what an instance has at all.

        over_busy[k, t] <= (peak_frac - η) · on[k, t]        for all k, t        [instances]

    Shapes: over_busy, on (K, T); peak_extra = peak_frac - η, a scalar.
    Source: reserve margin of unit commitment, released at a price.
    """
    return [v.over_busy <= p.peak_extra * v.on]


def headroom_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of working beyond η: over_busy_price · Σ_k,t over_busy[k, t].

    Shapes: over_busy (K, T); over_busy_price a scalar. Unit: millionths of a USD.
    Source: price of a soft constraint; its place in the order follows from `controller.lifecycle.prices`.
    """
    return p.over_busy_price * cp.sum(v.over_busy)
