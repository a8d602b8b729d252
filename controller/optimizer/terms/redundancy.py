"""Redundancy: the loss of one instance leaves capacity for what it served (N-1)."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def spare_capacity(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """The engine time left in the pools that a class may use carries the tokens of the largest instance among them.

        Σ_k tokens_per_s[r, k] · ( spare[k, t] - over_busy[k, t] ) + over_spare[r, t] >= largest[r, t]    for all r, t

    in output tokens/s. tokens_per_s = 1 / busy_s_per_token for pools that the class may use, else 0; largest =
    η · max_k tokens_per_s[r, k] where the class has demand, 0 for classes that need not survive. `engine_time` bounds
    spare - over_busy by η · usable - used: what is left within η.
    Shapes: spare, over_busy (K, T); tokens_per_s (R, K); over_spare, largest (R, T).
    Source: the N-1 rule of power systems.
    """
    if p.spare is None:
        return []
    return [p.spare.tokens_per_s @ (v.spare - v.over_busy) + v.over_spare >= p.spare.largest]


def redundancy_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of missing capacity: Σ_r,t price[r] · over_spare[r, t], above that of headroom, below that of serving.

    Shapes: over_spare (R, T); price (1, R). Unit: millionths of a USD.
    Source: price of a soft constraint; `controller.optimizer.spare` sets it.
    """
    if p.spare is None:
        return cp.Constant(0.0)
    return cp.sum(p.spare.price @ v.over_spare)
