"""The least that a fleet can draw while it keeps its promises: by it, calls that can be met are told from others. Pure.

The criterion is fixed before a run and uses nothing of the controller's: with n[k] instances of pool k on and y[r, k]
output tokens/s of class r there,

    minimise   pue · (Σk n[k]·P0[k] + (N[k]-n[k])·Psleep[k] + Σrk y[r, k]·e[r, k] + spare) + aux
    Σk y[r, k] = d[r]                      all that the classes above `flex` ask for; `flex` waits
    Σr y[r, k]·busy[r, k] ≤ η·n[k]         engine time
    Σk y[r, k]·loss[r, k] ≤ budget[r]·d[r] quality, without overdraft
    n[k] ∈ {min_on[k] .. N[k]},  y ≥ 0,  y[r, k] = 0 where the class may not use the pool

at the busiest minute of the call, d.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from controller.model.fleet import RequestClass, Site
from controller.optimizer.workload import Lengths, busy_s_per_token, j_per_token, slo_batch


class Verdict(StrEnum):
    """What a fleet can do about a limit."""

    WITHIN = "within reach"
    """The floor, with the margin that the controller keeps from a limit, is below it."""
    PROMISES = "against promises"
    """It can be kept only at the cost of classes above `flex` or of quality budgets."""
    IDLE = "deeper than idle"
    """The site draws more with all instances asleep but those that must stay on."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Least draw at the meter, W.

    Attributes:
        idle_w: with no token served.
        promises_w: with all classes above `flex` served as promised; None where no number of instances suffices.
        served_w: with `flex` served as well; None likewise.
    """

    idle_w: float
    promises_w: float | None
    served_w: float | None

    def verdict(self, limit_w: float, margin_frac: float) -> Verdict:
        """What the fleet can do about a limit."""
        effective_w = limit_w * (1.0 - margin_frac)
        if self.promises_w is not None and self.promises_w <= effective_w:
            return Verdict.WITHIN
        return Verdict.PROMISES if self.idle_w <= effective_w else Verdict.IDLE


def floor_of(site: Site, tokens_per_s: np.ndarray, flex: tuple[bool, ...], utilisation_frac: float) -> Floor:
    """The floors of a site.

    Args:
        site: pools, classes and the meter.
        tokens_per_s: (R,) output tokens/s at the busiest time, at the classes' expected lengths.
        flex: whether each class may wait.
        utilisation_frac: η, share of an instance's time that is planned.
    """
    needed = np.where(flex, 0.0, tokens_per_s)
    idle_w = _least_w(site, np.zeros(len(site.classes)), utilisation_frac)
    if idle_w is None:
        raise ValueError(f"{site.name}: an idle fleet has no least draw; correct min_on")
    return Floor(idle_w, _least_w(site, needed, utilisation_frac), _least_w(site, tokens_per_s, utilisation_frac))


def _least_w(site: Site, tokens_per_s: np.ndarray, utilisation_frac: float) -> float | None:
    pools, classes = site.pools, site.classes
    cells = [(r, k) for r in range(len(classes)) for k in range(len(pools)) if _batch(site, r, k) >= 1.0]
    size, kinds = len(pools) + len(cells), len(pools)
    cost = np.zeros(size)
    for k, pool in enumerate(pools):
        cost[k] = pool.curves.p0_w - pool.curves.sleeping_w
    rows, low, high = [], [], []
    for r, cls in enumerate(classes):
        served, lost = np.zeros(size), np.zeros(size)
        for at, (row, k) in enumerate(cells):
            if row == r:
                served[kinds + at] = 1.0
                lost[kinds + at] = site.losses[r][k]
        rows += [served, lost]
        low += [tokens_per_s[r], 0.0]
        high += [tokens_per_s[r], cls.quality_budget_frac * tokens_per_s[r]]
    for k in range(kinds):
        busy = np.zeros(size)
        busy[k] = -utilisation_frac
        for at, (r, pool_index) in enumerate(cells):
            if pool_index == k:
                busy[kinds + at] = busy_s_per_token(pools[k].curves, _batch(site, r, k), _lengths(classes[r]))
                cost[kinds + at] = j_per_token(pools[k].curves, _lengths(classes[r]))
        rows.append(busy)
        low.append(-np.inf)
        high.append(0.0)
    least = np.array([float(pool.min_on) for pool in pools] + [0.0] * len(cells))
    most = np.array([float(pool.max_instances) for pool in pools] + [np.inf] * len(cells))
    found = milp(
        cost,
        constraints=LinearConstraint(np.array(rows), np.array(low), np.array(high)),
        bounds=Bounds(least, most),
        integrality=np.array([1.0] * kinds + [0.0] * len(cells)),
    )
    if not found.success:
        return None
    rest_w = sum(len(pool.instances) * pool.curves.sleeping_w for pool in pools)
    held = sum(len(pool.instances) * pool.gpus_per_instance for pool in pools)
    spare_w = max(0, site.gpus - held) * site.spare_gpu_w
    return float(site.pue * (found.fun + rest_w + spare_w) + site.aux_w)


def _batch(site: Site, r: int, k: int) -> float:
    cls, pool = site.classes[r], site.pools[k]
    return slo_batch(pool.curves, cls, _lengths(cls)) if cls.may_use(pool) else 0.0


def _lengths(cls: RequestClass) -> Lengths:
    return Lengths(cls.expected_input_tokens, cls.expected_output_tokens)
