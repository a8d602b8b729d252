"""What a reduction may cost the classes, for how long, and how it is made good."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.model.capability import QosCost
from controller.model.fleet import RequestClass
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import rates_of
from controller.optimizer.promises import TOKENS_TOLERANCE
from controller.settlement.quality_budget import QualityBurn, allowed_loss_frac
from controller.units import SECONDS_PER_DAY

HOLD_S = 3600.0
"""What quality is spent on lasts at least this long; what nothing ends is accounted for over as long."""
KEPT_FRAC = 1.0 - 1e-6
"""Share of what was saved that is spent: the rest is arithmetic, so that the time to hold is not just missed."""
LEAST_EXCESS_FRAC = 1e-6
"""A mean loss above the budget by less than this is arithmetic."""


@dataclass(frozen=True, slots=True)
class ClassTerms:
    """What a class may lose.

    Attributes:
        budget_frac: B, mean loss allowed over the window.
        plain_frac: mean loss that spends nothing that was saved.
        spending_frac: mean loss that can be kept up for the time to hold where no more is lost.
        granted_frac: mean loss that a tick grants while a limit is in force.
        saved: S, loss·tokens that were saved in the window.
        planned_tokens_per_s: f, mean of the horizon.
        saving_frac: budget less what is burnt on the mean: what is saved of each token.
        horizon_s: H.
    """

    budget_frac: float
    plain_frac: float
    spending_frac: float
    granted_frac: float
    saved: float
    planned_tokens_per_s: float
    saving_frac: float
    horizon_s: float

    def lasts_s(self, needed_frac: float, spent_frac: float) -> float | None:
        """How long a mean loss is allowed by what was saved; None without end.

        Each tick spreads what is saved over the horizon: it grants B + S / (f·H), and a plan loses as much of that as
        saves energy: m at the most, with m >= l. S falls by (m - B)·f a second while m is granted, then by S / H, until
        l is not granted any more: T = S / (f·(m - B)) - H + H·ln((m - B) / (l - B)).

        Args:
            needed_frac: l, without which a limit is not kept.
            spent_frac: m, lost where it is granted.
        """
        needed = needed_frac - self.budget_frac
        if needed <= LEAST_EXCESS_FRAC or self.planned_tokens_per_s <= 0.0:
            return None
        spent = max(needed, spent_frac - self.budget_frac)
        granted = self.saved / (self.planned_tokens_per_s * self.horizon_s)
        if granted < needed:
            return 0.0
        at_most_s = max(0.0, self.saved / (self.planned_tokens_per_s * spent) - self.horizon_s)
        return at_most_s + self.horizon_s * math.log(min(spent, granted) / needed)

    def regained_s(self, loss_frac: float, duration_s: float) -> float | None:
        """Until what a mean loss has spent in a time is saved again; None where nothing is saved."""
        excess = loss_frac - self.budget_frac
        if excess <= LEAST_EXCESS_FRAC:
            return 0.0
        return excess * duration_s / self.saving_frac if self.saving_frac > 0.0 else None


@dataclass(frozen=True, slots=True)
class Account:
    """How long a reduction lasts, and how it is made good; as in `controller.model.capability.Offer`."""

    duration_s: float | None
    recovery_s: float | None
    recovery_j: float | None
    events_per_day: float | None


def account_of(
    terms: tuple[ClassTerms, ...],
    data: ProblemData,
    plans: tuple[Plan, Plan],
    present: tuple[float, ...],
    cost: QosCost,
) -> Account:
    """What a reduction costs.

    Args:
        terms: of the classes.
        data: of one interval.
        plans: of least power, and as it is planned when the reduction is called.
        present: [r], output tokens/s asked for now.
        cost: of the reduction; where quality budgets give way, spent savings end nothing.
    """
    least, called = (mean_losses(data, plan) for plan in plans)
    lasts = [each.lasts_s(*losses) for each, *losses in zip(terms, least, called, strict=True)]
    budgets_yield = cost is QosCost.HELD
    duration_s = None if budgets_yield else min((each for each in lasts if each is not None), default=None)
    spent_s = HOLD_S if duration_s is None else duration_s
    losses = called if budgets_yield or duration_s is not None else least
    held = _held(present, plans[1], data) if cost.gives_way else {}
    recoveries = [each.regained_s(loss, spent_s) for each, loss in zip(terms, losses, strict=True)]
    recoveries += [_caught_up_s(data, plans[1], r, rate, spent_s) for r, rate in held.items()]
    known = [each for each in recoveries if each is not None]
    recovery_s = max(known, default=0.0) if len(known) == len(recoveries) else None
    joules = sum(_cheapest_j(data, r) * rate * spent_s for r, rate in held.items())
    often = None if recovery_s == 0.0 else 0.0
    if recovery_s is not None and recovery_s > 0.0:
        often = SECONDS_PER_DAY / (spent_s + recovery_s)
    return Account(duration_s, recovery_s, joules, often)


def _held(present: tuple[float, ...], plan: Plan, data: ProblemData) -> dict[int, float]:
    """Output tokens/s asked for now that a plan leaves unserved, by class; not what is arithmetic."""
    served = [sum(cell[0] for cell in row) for row in rates_of(plan)]
    return {
        r: now - rate
        for r, (now, rate) in enumerate(zip(present, served, strict=True))
        if now - rate > TOKENS_TOLERANCE * max(1.0, now)
    }


def terms_of(
    classes: tuple[RequestClass, ...], burns: tuple[QualityBurn, ...], data: ProblemData
) -> tuple[ClassTerms, ...]:
    """The terms of each class, so that what is spent lasts at least `HOLD_S`."""
    return tuple(
        _terms(cls, burn, data, sum(planned.demand_tokens_per_s) / len(planned.demand_tokens_per_s))
        for cls, burn, planned in zip(classes, burns, data.classes, strict=True)
    )


def _terms(cls: RequestClass, burn: QualityBurn, data: ProblemData, tokens_per_s: float) -> ClassTerms:
    horizon_s, budget = data.horizon.steps * data.horizon.dt_s, cls.quality_budget_frac
    now_s = data.horizon.start_s
    # What leaves the window meanwhile may take savings with it, or burns: the worse counts.
    coming = tokens_per_s * horizon_s
    kept = [burn.within(now_s + horizon_s), burn.within(now_s + horizon_s + HOLD_S)]
    saved = 0.0
    if burn.is_known:
        saved = max(0.0, min(budget * each.tokens - each.loss_tokens for each in kept))
    plain = min(allowed_loss_frac(each, budget, coming, spend_savings=False) for each in kept)
    spent = KEPT_FRAC * saved / (tokens_per_s * (horizon_s + HOLD_S)) if tokens_per_s > 0.0 else 0.0
    return ClassTerms(
        budget_frac=budget,
        plain_frac=plain,
        spending_frac=max(plain, min(1.0, budget + spent)) if saved > 0.0 else plain,
        granted_frac=allowed_loss_frac(kept[0], budget, coming, spend_savings=True),
        saved=saved,
        planned_tokens_per_s=tokens_per_s,
        saving_frac=budget - burn.burnt_frac,
        horizon_s=horizon_s,
    )


def mean_losses(data: ProblemData, plan: Plan) -> tuple[float, ...]:
    """[r], mean loss of what a plan of one interval serves a class; 0 where it serves nothing."""
    out = []
    for r, row in enumerate(rates_of(plan)):
        served = sum(cell[0] for cell in row)
        lost = sum(cell[0] * loss for cell, loss in zip(row, data.losses(r), strict=True))
        out.append(lost / served if served > 0.0 else 0.0)
    return tuple(out)


def _cheapest_j(data: ProblemData, r: int) -> float:
    """Least energy at the meter of an output token of a class above what instances draw without it."""
    each = [data.j_per_token[r][k] * data.sites[data.pools[k].site].pue for row, k in data.pairs if row == r]
    return min(each, default=0.0)


def _caught_up_s(data: ProblemData, plan: Plan, r: int, held_tokens_per_s: float, spent_s: float) -> float | None:
    """Until what was held for a time is served beside all else by what may serve; None where there is no room."""
    rates, spare = rates_of(plan), 0.0
    for row, k in data.pairs:
        if row != r:
            continue
        busy = sum(data.busy_s_per_token[q][k] * rates[q][k][0] for q in range(len(rates)))
        room = data.utilisation_frac * data.pools[k].max_on - busy
        spare += max(0.0, room) / data.busy_s_per_token[r][k]
    again = spare - held_tokens_per_s
    return held_tokens_per_s * spent_s / again if again > 0.0 else None
