"""How far promises are kept, each told on its own; what is below a tolerance is arithmetic and counts as kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from controller.optimizer.backlog import ledger
from controller.optimizer.data import BatteryData, ProblemData, SiteData
from controller.optimizer.onsite import final_target_wh
from controller.optimizer.spare import Rates, Serving, missing_spare

TOKENS_TOLERANCE = 1e-3
"""Token rates closer than this are equal, tokens/s; also the share of a rate below which a difference is numeric."""
POWER_TOLERANCE_W = 0.5
BUSY_TOLERANCE = 1e-4
"""Engine time, instances."""
ENERGY_TOLERANCE_WH = 1e-3
ENERGY_TOLERANCE_FRAC = 1e-5
"""Share of a battery's capacity below which energy is numeric."""


def unserved(data: ProblemData, rates: Rates, r: int) -> tuple[float, ...]:
    """Demand of a class that fell due and no pool served, output tokens/s by interval; 0 below the tolerance."""
    cls = data.classes[r]
    served = [sum(cell) for cell in zip(*rates[r], strict=True)]
    if cls.defer_steps or cls.backlog_tokens_per_s:
        missing: Sequence[float] = ledger(cls, served, until_end=len(served) == data.horizon.steps).unserved
    else:
        missing = [demand - rate for demand, rate in zip(cls.demand_tokens_per_s, served, strict=False)]
    return tuple(
        left if left > TOKENS_TOLERANCE * max(1.0, demand) else 0.0
        for left, demand in zip(missing, cls.demand_tokens_per_s, strict=False)
    )


def over_quality(data: ProblemData, rates: Rates, r: int) -> tuple[float, ...]:
    """Loss·tokens/s of a class beyond its budget, by interval; 0 below the tolerance.

    Where the budget holds over the horizon together, every interval has the mean.
    """
    cls, out = data.classes[r], []
    losses = data.losses(r)
    served = list(zip(*rates[r], strict=True))
    for row, budget in zip(served, cls.quality_budget_frac, strict=False):
        out.append(sum((loss - budget) * rate for loss, rate in zip(losses, row, strict=True)))
    tokens = [sum(row) for row in served]
    if cls.quality_window:
        out = [sum(out) / len(out)] * len(out)
        tokens = [sum(tokens) / len(out)] * len(out)
    return tuple(excess if excess > 1e-6 * max(1.0, rate) else 0.0 for excess, rate in zip(out, tokens, strict=True))


def over_limit_w(site: SiteData, power_w: float, t: int) -> float:
    """Power that a site draws above its limit; 0 below the tolerance or without a limit."""
    limit = site.limit_w[t]
    return power_w - limit if limit is not None and power_w > limit + POWER_TOLERANCE_W else 0.0


def over_ramp_w(site: SiteData, drawn_w: Sequence[float]) -> float:
    """Largest change of what a site draws beyond its ramps; 0 below the tolerance or without a ramp.

    A fall that a limit demands breaks none; the step into the first interval counts where it is known from what.
    """
    worst = max(0.0, site.least_first_w - drawn_w[0])
    if site.most_first_w is not None:
        worst = max(worst, drawn_w[0] - site.most_first_w)
    for t, (then, now) in enumerate(pairwise(drawn_w), start=1):
        if site.ramp_w is not None:
            worst = max(worst, now - then - site.ramp_w)
        if site.ramp_down_w is not None and not site.is_tightened(t):
            worst = max(worst, then - now - site.ramp_down_w)
    return worst if worst > 2 * POWER_TOLERANCE_W else 0.0


def energy_tolerance_wh(battery: BatteryData) -> float:
    """Energy in a battery that is arithmetic."""
    return ENERGY_TOLERANCE_WH + ENERGY_TOLERANCE_FRAC * battery.capacity_wh


def short_wh(data: ProblemData, c: int, held_wh: Sequence[float]) -> float:
    """Energy that a battery lacks at the horizon's end; 0 below the tolerance, without one, or before the end."""
    battery = data.sites[c].battery
    if battery is None or len(held_wh) != data.horizon.steps + 1:
        return 0.0
    short = final_target_wh(battery, data) - held_wh[-1]
    return short if short > energy_tolerance_wh(battery) else 0.0


def over_spare(data: ProblemData, r: int, serving: Serving, rates: Rates) -> float:
    """Output tokens/s that a class lacks to survive the loss of an instance; 0 below the tolerance."""
    missing = missing_spare(data, r, serving, rates)
    return missing if missing > TOKENS_TOLERANCE * max(1.0, *data.classes[r].demand_tokens_per_s) else 0.0


def headroom_used(data: ProblemData, k: int, serving: Serving, rates: Rates) -> float:
    """Engine time beyond η of a pool at its worst interval, instances; 0 below the tolerance."""
    over = max(
        sum(data.busy_s_per_token[r][k] * row[k][t] for r, row in enumerate(rates)) - data.utilisation_frac * count
        for t, count in enumerate(serving[k])
    )
    return over if over > BUSY_TOLERANCE else 0.0
