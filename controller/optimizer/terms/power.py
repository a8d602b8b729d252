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
        drawn_w[c, 0] <= most_first_w[c] + over_ramp_w[c, 0]                       for all c                [W]

    with most_first_w = drawn_before_w + ramp_w: what was drawn one interval before the horizon bounds the step into it;
    where that is unknown it holds a figure that the site cannot reach, as ramp_w does without a ramp. drawn_w is
    import_w where the plan has photovoltaics or batteries, else site_w.
    Shapes: drawn_w, ramp_w, over_ramp_w (C, T); most_first_w (C, 1).
    Source: restore ramp of demand-response programmes; ramps of unit commitment, as soft constraints.
    """
    out = []
    if p.most_first_w is not None:
        out.append(v.drawn_w[:, :1] <= p.most_first_w + v.over_ramp_w[:, :1])
    if shape.steps > 1:
        out.append(v.drawn_w[:, 1:] - v.drawn_w[:, :-1] <= p.ramp_w[:, 1:] + v.over_ramp_w[:, 1:])
    return out


def power_drop(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """Power falls no faster than the ramp, where a programme asks for it, but for what a limit demands.

        drawn_w[c, t-1] - drawn_w[c, t] <= drop_w[c, t] + over_ramp_w[c, t]        for all c, t >= 1        [W]
        least_first_w[c] - drawn_w[c, 0] <= over_ramp_w[c, 0]                      for all c                [W]

    drop_w holds a figure that no fall reaches where a limit begins or tightens, so that nothing is curtailed before an
    event for the sake of a gentle fall. least_first_w = min(drawn_before_w - ramp_down_w, limit_w[c, 0]), 0 where what
    was drawn before is unknown.
    Shapes: drawn_w, drop_w, over_ramp_w (C, T); least_first_w (C, 1).
    Source: ramps of unit commitment, as soft constraints.
    """
    if p.drop_w is None:
        return []
    out = [p.least_first_w - v.drawn_w[:, :1] <= v.over_ramp_w[:, :1]]
    if shape.steps > 1:
        out.append(v.drawn_w[:, :-1] - v.drawn_w[:, 1:] <= p.drop_w[:, 1:] + v.over_ramp_w[:, 1:])
    return out


def ramp_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Price of changing faster: Σ_c,t over_ramp_price · over_ramp_w[c, t].

    Shapes: over_ramp_w (C, T); over_ramp_price a scalar. Unit: millionths of a USD.
    Source: price of a soft constraint; its place in the order follows from `controller.lifecycle.prices`.
    """
    return p.over_ramp_price * cp.sum(v.over_ramp_w)
