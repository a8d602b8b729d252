"""What the energy costs."""

from __future__ import annotations

import cvxpy as cp

from controller.optimizer.parameters import Parameters
from controller.optimizer.variables import Expression, Shape, Variables


def energy_cost(v: Variables, p: Parameters, shape: Shape) -> Expression:
    """Energy and its carbon: Σ_c,t energy_price[c, t] · drawn_w[c, t].

    energy_price = (price_usd_per_mwh + carbon_usd_per_kg · carbon_kg_per_mwh) · dt_s / 3.6e9, per watt and interval;
    drawn_w is import_w where the plan has photovoltaics or batteries, else site_w.
    Shapes: drawn_w, energy_price (C, T).
    Unit: millionths of a USD.
    Source: arXiv 2606.18851, objective: energy at its price, emissions at theirs.
    """
    return cp.sum(cp.multiply(p.energy_price, v.drawn_w))
