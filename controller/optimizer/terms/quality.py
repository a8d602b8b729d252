"""Quality: the mean loss of a class stays within what its rolling budget has left."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables, sum_over_pools


def quality_budget(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Mean quality loss of the tokens served, per class and interval.

        Σ_k (loss[r, k] - budget[r, t]) · tokens[r, k, t] <= over_quality[r, t]        for all r, t    [loss·tokens/s]

    with r the classes whose budget holds in each interval.
    Shapes: tokens (P, T); loss (P, 1); budget, over_quality (R, T).
    Source: quality floor per class, arXiv 2606.18851, stage 2, with the budget tightened by what was burnt.
    """
    of_class = sum_over_pools(shape)
    within = cp.multiply(p.budget, of_class @ v.tokens)
    lost = of_class @ cp.multiply(p.loss, v.tokens)
    if not shape.windows:
        return [lost <= within + v.over_quality]
    each = [r for r in range(shape.classes) if r not in shape.windows]
    return [lost[each] <= within[each] + v.over_quality[each]] if each else []


def quality_window(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Mean quality loss of the tokens served over the horizon, of classes that may spend their budget when they like.

        Σ_k,t (loss[r, k] - budget[r, t]) · tokens[r, k, t] <= Σ_t over_quality[r, t]  for r in windows [loss·tokens/s]

    Shapes: tokens (P, T); loss (P, 1); budget, over_quality (R, T).
    Source: rolling budget like that of service level objectives.
    """
    if not shape.windows:
        return []
    together = list(shape.windows)
    of_class = sum_over_pools(shape)
    within = cp.multiply(p.budget, of_class @ v.tokens) + v.over_quality
    lost = of_class @ cp.multiply(p.loss, v.tokens)
    return [cp.sum(lost[together] - within[together], axis=1) <= 0]


def quality_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Cost of lost quality, and of moving requests to other sites, and price of going beyond the budget.

    Σ_r,k,t token_price[r, k] · tokens[r, k, t] + over_quality_price · Σ_r,t over_quality[r, t].

    Shapes: tokens (P, T); token_price (1, P); over_quality (R, T); over_quality_price a scalar.
    Unit: millionths of a USD.
    Source: arXiv 2606.18851, objective: quality and migration; price of a soft constraint beyond the budget.
    """
    return cp.sum(p.token_price @ v.tokens) + p.over_quality_price * cp.sum(v.over_quality)
