"""Choosing zeta: from what accuracy is worth, from a budget of energy, from a target of accuracy, at the knee. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.errors import ConfigError
from controller.study.offline_routing.case import Case, Point, solve
from controller.units import J_PER_KWH, J_PER_MWH

BISECTIONS = 40
TOKENS_PER_MTOKEN = 1e6
POINTS_PER_UNIT = 100.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A zeta and why it was chosen.

    Attributes:
        reason: in words.
        accuracy_bound_frac: for a budget, the accuracy that no assignment within it surpasses; None for the others.
        energy_bound_j: for a target, the energy that no assignment reaching it undercuts; None for the others.

    The bounds are Lagrange's: they tell how much the weighted sum gives away against the true optimum.
    """

    reason: str
    point: Point
    accuracy_bound_frac: float | None = None
    energy_bound_j: float | None = None


def zeta_of_value(case: Case, price_usd_per_mwh: float, usd_per_mtoken_point: float) -> float:
    """The zeta at which the weighted sum is the cost in USD.

    Cost is p·e − v·a, p in USD/J and v in USD per unit of a = A·(τin + τout). Dividing ζ·e/E − (1−ζ)·a/S by ζ/E gives
    v/p = (1−ζ)/ζ·E/S, hence ζ = 1/(1 + (v/p)·(S/E)).

    Raises:
        ConfigError: accuracy is given a value that is not positive.
    """
    if not usd_per_mtoken_point > 0:
        raise ConfigError(f"a value of accuracy of {usd_per_mtoken_point} USD gives no zeta; give a positive one")
    price_usd_per_j = price_usd_per_mwh / J_PER_MWH
    value_usd = usd_per_mtoken_point * POINTS_PER_UNIT / TOKENS_PER_MTOKEN
    energy_usd = price_usd_per_j * case.energy_scale_j
    return energy_usd / (energy_usd + value_usd * case.accuracy_scale)


def by_value(case: Case, price_usd_per_mwh: float, usd_per_mtoken_point: float) -> Choice:
    """The cheapest assignment where accuracy has a price."""
    zeta = zeta_of_value(case, price_usd_per_mwh, usd_per_mtoken_point)
    return Choice(
        f"a point of accuracy is worth {usd_per_mtoken_point:g} USD/Mtoken at {price_usd_per_mwh:g} USD/MWh",
        solve(case, zeta),
    )


def by_energy(case: Case, budget_kwh: float) -> Choice:
    """The most accurate assignment of the weighted sum within a budget of energy.

    Raises:
        ConfigError: even the least energy is above the budget.
    """
    budget_j = budget_kwh * J_PER_KWH
    found = _smallest(case, lambda point: point.energy_j <= budget_j)
    if found is None:
        least_kwh = solve(case, 1.0).energy_j / J_PER_KWH
        raise ConfigError(
            f"choose.energy_budget_kwh: {budget_kwh:g} kWh cannot be kept, the least that serves all queries is "
            f"{least_kwh:.4g} kWh; raise it or lower the models' least shares"
        )
    total_tokens = float(case.tokens @ case.amount)
    bound = found.accuracy_frac + _exchange(case, found.zeta) * (budget_j - found.energy_j) / total_tokens
    return Choice(f"at most {budget_kwh:g} kWh", found, accuracy_bound_frac=bound)


def by_accuracy(case: Case, target_frac: float) -> Choice:
    """The assignment of least energy of the weighted sum with at least a mean accuracy.

    Raises:
        ConfigError: no assignment is that accurate.
    """
    found = _largest(case, lambda point: point.accuracy_frac >= target_frac)
    if found is None:
        most = solve(case, 0.0).accuracy_frac
        raise ConfigError(
            f"choose.accuracy_target_frac: {target_frac:g} cannot be reached, the most that the models give is "
            f"{most:.4f}; lower it"
        )
    rate = _exchange(case, found.zeta)
    spare = (found.accuracy_frac - target_frac) * float(case.tokens @ case.amount)
    bound_j = max(0.0, found.energy_j - spare / rate) if rate > 0 else 0.0
    return Choice(f"accuracy of at least {target_frac:.2%}", found, energy_bound_j=bound_j)


def knee(points: tuple[Point, ...]) -> Choice:
    """The point of a sweep that is farthest from the straight line between its ends.

    Energy and accuracy are both scaled to 0..1 over the sweep (Satopää et al., Kneedle, 2011).

    Raises:
        ConfigError: there is no point.
    """
    if not points:
        raise ConfigError("a knee needs a sweep of at least one zeta")
    low_j, high_j = min(p.energy_j for p in points), max(p.energy_j for p in points)
    low, high = min(p.accuracy_frac for p in points), max(p.accuracy_frac for p in points)

    def rise(point: Point) -> float:
        if high_j == low_j or high == low:
            return 0.0
        return (point.accuracy_frac - low) / (high - low) - (point.energy_j - low_j) / (high_j - low_j)

    return Choice("knee of the sweep", max(points, key=rise))


def _exchange(case: Case, zeta: float) -> float:
    """Accuracy that the weighted sum gives up for a joule: (ζ/(1−ζ))·(S/E); infinite is not met, as ζ < 1 there."""
    return zeta / max(1e-12, 1 - zeta) * case.accuracy_scale / case.energy_scale_j


def _smallest(case: Case, holds: Callable[[Point], bool]) -> Point | None:
    """The point of the smallest zeta that holds, where all larger ones do too."""
    best = solve(case, 1.0)
    if not holds(best):
        return None
    if holds(at_zero := solve(case, 0.0)):
        return at_zero
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if holds(tried := solve(case, middle)):
            high, best = middle, tried
        else:
            low = middle
    return best


def _largest(case: Case, holds: Callable[[Point], bool]) -> Point | None:
    """The point of the largest zeta that holds, where all smaller ones do too."""
    best = solve(case, 0.0)
    if not holds(best):
        return None
    if holds(at_one := solve(case, 1.0)):
        return at_one
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if holds(tried := solve(case, middle)):
            low, best = middle, tried
        else:
            high = middle
    return best
