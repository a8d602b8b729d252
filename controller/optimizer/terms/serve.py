"""Serving: every token asked for is served or told to be missing."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.variables import Expression, Parameters, Shape, Variables, sum_over_pools


def serve_demand(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """All demand is served by some pool, or counted as unserved.

        Σ_k tokens[r, k, t] + unserved[r, t] = demand[r, t]        for all r, t        [output tokens/s]

    Pairs that a class may not use have no variable: allowed precisions and reach never yield.
    Shapes: tokens (P, T); unserved, demand (R, T).
    Source: arXiv 2606.18851, stage 2, with slack so that the program always has a solution.
    """
    return [sum_over_pools(shape) @ v.tokens + v.unserved == p.demand]


def unserved_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of what is not served: Σ_r,t unserved_price[r] · unserved[r, t]."""
    return cp.sum(p.unserved_price @ v.unserved)
