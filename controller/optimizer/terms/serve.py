"""Serving: every token asked for is served, waits as long as it may, or is told to be missing."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables, before, sum_over_pools


def serve_demand(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """All demand is served by some pool, waits, or is counted as unserved.

        Σ_k tokens[r, k, t] + unserved[r, t] = demand[r, t] + backlog[r, t-1] - backlog[r, t]        for all r, t

    in output tokens/s, with backlog[r, -1] what waits now; without classes that may wait there is no backlog.
    Pairs that a class may not use have no variable: allowed precisions and reach never yield.
    Shapes: tokens (P, T); unserved, demand, backlog (R, T); waiting (R, 1).
    Source: arXiv 2606.18851, stage 2, with slack so that the program always has a solution.
    """
    served = sum_over_pools(shape) @ v.tokens + v.unserved
    if v.backlog is None or p.deferral is None:
        return [served == p.demand]
    return [served + v.backlog == p.demand + before(p.deferral.waiting, v.backlog)]


def unserved_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of what is not served: Σ_r,t unserved_price[r] · unserved[r, t].

    Shapes: unserved (R, T); unserved_price (1, R). Unit: millionths of a USD.
    Source: value of lost load; its place in the order follows from `controller.lifecycle.prices`.
    """
    return cp.sum(p.unserved_price @ v.unserved)
