"""Demand response: a programme pays for what is not drawn during its events."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def reduction_bound(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """A reduction is what the site draws less than its baseline, up to the most that is paid.

        reduction_w[c, t] + drawn_w[c, t] <= baseline_w[c, t] + excess_w[c, t]
        reduction_w[c, t] <= most_w[c, t]        for all c, t        [W]

    with most_w 0 outside of events. drawn_w is import_w where the plan has photovoltaics or batteries, else site_w.
    Shapes: all (C, T).
    Source: arXiv 2606.18851, demand response: reduction <= baseline - import, without a binary as the reward is >= 0.
    """
    if p.response is None:
        return []
    return [
        v.reduction_w + v.drawn_w <= p.response.baseline_w + v.excess_w,
        v.reduction_w <= p.response.most_w,
    ]


def response_reward(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """What the programme pays, as a negative cost, and what is paid back above the baseline during events.

    Σ_c,t price[c, t] · ( excess_w[c, t] - reduction_w[c, t] ).

    price = reward_usd_per_mwh · dt_s / 3.6e9, per watt and interval, 0 outside of events.
    Shapes: all (C, T). Unit: millionths of a USD.
    Source: arXiv 2606.18851, demand-response reward; that more than the baseline pays back is this project's rule.
    """
    if p.response is None:
        return cp.Constant(0.0)
    return cp.sum(cp.multiply(p.response.price, v.excess_w - v.reduction_w))
