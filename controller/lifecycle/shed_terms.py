"""What a reduction may cost the classes, for how long, and how it is made good."""

from __future__ import annotations

from dataclasses import dataclass

from controller.model.fleet import RequestClass
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import rates_of
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
        spending_frac: mean loss that can be kept up for the time to hold.
        saved: S, loss·tokens that were saved in the window.
        planned_tokens_per_s: f, mean of the horizon.
        saving_frac: budget less what is burnt on the mean: what is saved of each token.
        horizon_s: H.
    """

    budget_frac: float
    plain_frac: float
    spending_frac: float
    saved: float
    planned_tokens_per_s: float
    saving_frac: float
    horizon_s: float

    def lasts_s(self, loss_frac: float) -> float | None:
        """How long a mean loss is allowed by what was saved; None without end.

        Each tick spreads what is saved over the horizon: B + S / (f·H). At a loss l, S falls by (l - B)·f a second, so
        that l is allowed until T = S / (f·(l - B)) - H.
        """
        excess = loss_frac - self.budget_frac
        if excess <= LEAST_EXCESS_FRAC or self.planned_tokens_per_s <= 0.0:
            return None
        return max(0.0, self.saved / (self.planned_tokens_per_s * excess) - self.horizon_s)

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


@dataclass(frozen=True, slots=True)
class Need:
    """What is to be served.

    Attributes:
        tokens_per_s: [r], output tokens.
        budgets: [r], largest mean loss.
    """

    tokens_per_s: tuple[float, ...]
    budgets: tuple[float, ...]

    def account(
        self, terms: tuple[ClassTerms, ...], data: ProblemData, plan: Plan, *, held: tuple[float, ...]
    ) -> Account:
        """What serving just this costs.

        Args:
            terms: of the classes.
            data: of the tick.
            plan: that serves it.
            held: [r], output tokens/s that are not served.
        """
        losses = mean_losses(data, plan)
        lasts = [each.lasts_s(loss) for each, loss in zip(terms, losses, strict=True)]
        duration_s = min((each for each in lasts if each is not None), default=None)
        spent_s = HOLD_S if duration_s is None else duration_s
        regained = [each.regained_s(loss, spent_s) for each, loss in zip(terms, losses, strict=True)]
        caught_up = [_caught_up_s(data, plan, r, rate * spent_s) for r, rate in enumerate(held) if rate > 0.0]
        recoveries = [*regained, *caught_up]
        known = [each for each in recoveries if each is not None]
        recovery_s = max(known, default=0.0) if len(known) == len(recoveries) else None
        joules = sum(_cheapest_j(data, r) * rate * spent_s for r, rate in enumerate(held) if rate > 0.0)
        often = None if recovery_s == 0.0 else 0.0
        if recovery_s is not None and recovery_s > 0.0:
            often = SECONDS_PER_DAY / (spent_s + recovery_s)
        return Account(duration_s, recovery_s, joules, often)


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


def _caught_up_s(data: ProblemData, plan: Plan, r: int, tokens: float) -> float | None:
    """Until a backlog is served beside all else by what may serve; None where there is no room."""
    rates, spare = rates_of(plan), 0.0
    for row, k in data.pairs:
        if row != r:
            continue
        busy = sum(data.busy_s_per_token[q][k] * rates[q][k][0] for q in range(len(rates)))
        room = data.utilisation_frac * data.pools[k].max_on - busy
        spare += max(0.0, room) / data.busy_s_per_token[r][k]
    again = spare - data.classes[r].demand_tokens_per_s[0]
    return tokens / again if again > 0.0 else None
