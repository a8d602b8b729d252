"""Quality: the mean loss of a class stays within what its rolling budget has left."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.variables import Expression, Parameters, Shape, Variables, sum_over_pools


def quality_budget(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Mean quality loss of the tokens served, per class and interval.

        Σ_k (loss[k] - budget[r, t]) · tokens[r, k, t] <= over_quality[r, t]        for all r, t    [loss·tokens/s]

    Shapes: tokens (P, T); loss (P, 1); budget, over_quality (R, T).
    Source: quality floor per class, arXiv 2606.18851, stage 2, with the budget tightened by what was burnt.
    """
    of_class = sum_over_pools(shape)
    within = cp.multiply(p.budget, of_class @ v.tokens)
    return [of_class @ cp.multiply(p.loss, v.tokens) <= within + v.over_quality]


def quality_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Cost of lost quality and price of going beyond the budget.

    Σ_r,k,t token_price[r, k] · tokens[r, k, t] + over_quality_price · Σ_r,t over_quality[r, t].
    """
    return cp.sum(p.token_price @ v.tokens) + p.over_quality_price * cp.sum(v.over_quality)
