"""Photovoltaics and batteries behind the meter: what is drawn from the grid may differ from what the site takes."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def power_balance(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """What comes in is what is taken; nothing is fed into the grid.

        import_w[c, t] + pv_used_w[c, t] + discharge_w[c, t] = site_w[c, t] + charge_w[c, t]
        pv_used_w[c, t] <= pv_w[c, t]        for all c, t        [W]

    Shapes: all (C, T).
    Source: arXiv 2606.18851, on-site assets.
    """
    if p.assets is None:
        return []
    return [
        v.import_w + v.pv_used_w + v.discharge_w == v.site_w + v.charge_w,
        v.pv_used_w <= p.assets.pv_w,
    ]


def battery_power(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """A battery charges or discharges, or shares the interval between the two.

        charge_w[c, t] <= most_charge_w[c, t],  discharge_w[c, t] <= most_discharge_w[c, t]        [W]
        charge_share[c] · charge_w[c, t] + discharge_share[c] · discharge_w[c, t] <= 1        for all c, t

    with the shares 1/most_charge_w and 1/most_discharge_w, 0 without a battery. The last row is the convex hull of
    "one or the other": without a binary it keeps the two from running at full power together, which only a negative
    price would make pay.
    Shapes: charge_w, discharge_w, most_charge_w, most_discharge_w (C, T); shares (C, 1).
    Source: convex hull of the union of two segments, in place of the binary of storage in unit commitment.
    """
    if p.assets is None:
        return []
    charging = cp.multiply(p.assets.charge_share, v.charge_w)
    return [
        v.charge_w <= p.assets.most_charge_w,
        v.discharge_w <= p.assets.most_discharge_w,
        charging + cp.multiply(p.assets.discharge_share, v.discharge_w) <= 1.0,
    ]


def stored_energy(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """The state of charge follows from what goes in and out, and stays within its bounds.

        soc_wh[c, 0]   = now_wh[c]
        soc_wh[c, t+1] = soc_wh[c, t] + stored_wh[c] · charge_w[c, t] - taken_wh[c] · discharge_w[c, t]
        min_wh[c] <= soc_wh[c, t] <= capacity_wh[c]        for all c, t = 0..T        [Wh]

    with stored_wh = charge_frac · dt_h and taken_wh = dt_h / discharge_frac.
    Shapes: soc_wh, min_wh, capacity_wh (C, T+1); charge_w, discharge_w (C, T); now_wh, stored_wh, taken_wh (C, 1).
    Source: arXiv 2606.18851, on-site assets; the equation is that of any storage with losses.
    """
    if p.assets is None:
        return []
    gained = cp.multiply(p.assets.stored_wh, v.charge_w) - cp.multiply(p.assets.taken_wh, v.discharge_w)
    return [
        v.soc_wh[:, :1] == p.assets.now_wh,
        v.soc_wh[:, 1:] == v.soc_wh[:, :-1] + gained,
        v.soc_wh >= p.assets.min_wh,
        v.soc_wh <= p.assets.capacity_wh,
    ]


def final_charge(v: Variables, p: Parameters, shape: Shape) -> list[Expression]:
    """The horizon hands its battery on charged, as far as that can be reached.

        soc_wh[c, T] + short_wh[c] >= final_wh[c]        for all c        [Wh]

    with final_wh = min( what is asked for, capacity_wh, now_wh + T · stored_wh · most_charge_w ). short_wh yields
    before any promise to a class or the grid does, and for nothing less.
    Shapes: soc_wh (C, T+1); short_wh, final_wh (C, 1).
    Source: final storage target of a receding horizon, as a soft constraint.
    """
    if p.assets is None:
        return []
    return [v.soc_wh[:, -1:] + v.short_wh >= p.assets.final_wh]


def asset_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Wear of batteries, and price of handing them on short of charge.

    Σ_c,t wear_price[c] · (charge_w[c, t] + discharge_w[c, t]) + Σ_c short_price[c] · short_wh[c].

    Shapes: charge_w, discharge_w (C, T); short_wh (C, 1); wear_price, short_price (1, C).
    Unit: millionths of a USD.
    Source: wear by throughput, as usual in the dispatch of storage; short_price follows from what energy could earn.
    """
    if p.assets is None:
        return cp.Constant(0.0)
    wear = cp.sum(p.assets.wear_price @ (v.charge_w + v.discharge_w))
    return wear + cp.sum(p.assets.short_price @ v.short_wh)
