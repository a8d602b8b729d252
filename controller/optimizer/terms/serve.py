"""Serving: every token asked for is served or told to be missing."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.variables import Expression, Parameters, Shape, Variables, sum_over_pools


def serve_demand(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """All demand is served by some pool, or counted as unserved.

        Σ_k tokens[r, k, t] + unserved[r, t] = demand[r, t]        for all r, t        [output tokens/s]

    Shapes: tokens (R·K, T); unserved, demand (R, T).
    Source: arXiv 2606.18851, stage 2, with slack so that the program always has a solution.
    """
    return [sum_over_pools(shape) @ v.tokens + v.unserved == p.demand]


def allowed_pools(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """A class is served only at precisions it allows; this bound has no slack.

        0 <= tokens[r, k, t] <= token_cap[r, k, t]        for all r, k, t        [output tokens/s]

    with token_cap 0 for a precision that is not allowed and the class's demand otherwise.
    Shapes: tokens, token_cap (R·K, T).
    """
    return [v.tokens <= p.token_cap]


def unserved_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of what is not served: Σ_r,t unserved_price[r] · unserved[r, t]."""
    return cp.sum(p.unserved_price @ v.unserved)
