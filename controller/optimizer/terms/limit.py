"""The limits of the grid."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def site_limit(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Each site stays under its limit, or tells by how much it cannot.

        drawn_w[c, t] <= limit_w[c, t] + over_limit_w[c, t]        for all c, t        [W]

    limit_w is the most restrictive of the standing limit and the events, less the margin; an interval without a limit
    holds a figure that the site cannot reach. drawn_w is import_w where the plan has photovoltaics or batteries, else
    site_w.
    Shapes: all (C, T).
    Source: arXiv 2606.18851, grid import limit, with slack so that the program always has a solution.
    """
    return [v.drawn_w <= p.limit_w + v.over_limit_w]


def limit_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of energy above the limit: Σ_c,t over_limit_price · over_limit_w[c, t].

    Shapes: over_limit_w (C, T); over_limit_price a scalar. Unit: millionths of a USD.
    Source: price of a soft constraint; its place in the order follows from `controller.lifecycle.prices`.
    """
    return p.over_limit_price * cp.sum(v.over_limit_w)
