"""Power at the metering point, and how fast it may change."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def site_power(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Predicted power at each site's meter, affine in instances and tokens.

        site_w[c, t] = PUE[c] · ( Σ_k P0[k]·on[k, t] + sleeping_w[k]·sleeping[k, t] + off_w[k]·off[k, t]
                                  + Σ_r,k j_per_token[r, k] · tokens[r, k, t] + spare_w[c] ) + aux_w[c] + bias_w[c]

    for all c, t, with k over the site's pools. The parameters hold it with off = instances - on - sleeping eliminated:
    on_w = PUE·(P0 - off_w) and so on. P0 is charged for every instance that is on: one without work draws less, its
    loaded-idle power, so the prediction errs on the side of the limit.
    Shapes: site_w, base_w (C, T); on, sleeping (K, T); tokens (P, T); on_w, sleeping_w (C, K); token_w (C, P).
    Unit: W. Source: P(μ) = A/a + (C - b·A/a)·μ, exact for steady decode under T(B) = a + b·B, E(B) = A + C·B.
    """
    return [v.site_w == p.on_w @ v.on + p.sleeping_w @ v.sleeping + p.token_w @ v.tokens + p.base_w]


def power_ramp(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Power rises no faster than the ramp, against a rebound peak after an event.

        drawn_w[c, t] - drawn_w[c, t-1] <= ramp_w[c, t] + over_ramp_w[c, t]        for all c, t >= 1        [W]

    drawn_w is import_w where the plan has photovoltaics or batteries, else site_w.
    Shapes: drawn_w, ramp_w, over_ramp_w (C, T).
    """
    if shape.steps < 2:
        return []
    return [v.drawn_w[:, 1:] - v.drawn_w[:, :-1] <= p.ramp_w[:, 1:] + v.over_ramp_w[:, 1:]]


def power_drop(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Power falls no faster than the ramp, where a programme asks for it.

        drawn_w[c, t-1] - drawn_w[c, t] <= drop_w[c, t] + over_ramp_w[c, t]        for all c, t >= 1        [W]

    Shapes: drawn_w, drop_w, over_ramp_w (C, T).
    """
    if p.drop_w is None or shape.steps < 2:
        return []
    return [v.drawn_w[:, :-1] - v.drawn_w[:, 1:] <= p.drop_w[:, 1:] + v.over_ramp_w[:, 1:]]


def ramp_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of changing faster: Σ_c,t over_ramp_price · over_ramp_w[c, t]."""
    return p.over_ramp_price * cp.sum(v.over_ramp_w)
