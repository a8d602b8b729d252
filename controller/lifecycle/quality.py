"""What a class may lose of its quality in the coming intervals, and now."""

from __future__ import annotations

from dataclasses import replace

from controller.model.fleet import RequestClass
from controller.model.plan import Horizon, Plan, PlanOrigin
from controller.optimizer.data import ProblemData
from controller.settlement.quality_budget import QualityBurn, allowed_loss_frac


def budgets(
    cls: RequestClass,
    burn: QualityBurn,
    planned_tokens_per_s: tuple[float, ...],
    horizon: Horizon,
    called: tuple[bool, ...],
) -> tuple[float, ...]:
    """Largest mean loss of each interval, so that the window that ends with the horizon keeps the class's budget.

    Intervals with an event may spend what was saved; the others keep to the plain budget, or to what is left of it.

    Args:
        cls: the class.
        burn: what it has burnt.
        planned_tokens_per_s: demand planned for, an interval each.
        horizon: the intervals.
        called: whether an event is in force, an interval each.
    """
    coming = sum(planned_tokens_per_s) * horizon.dt_s
    kept = burn.within(horizon.start_of(horizon.steps))
    plain, spending = (
        allowed_loss_frac(kept, cls.quality_budget_frac, coming, spend_savings=spend) for spend in (False, True)
    )
    return tuple(spending if calls else plain for calls in called)


def granted(data: ProblemData, plan: Plan | None, step: int) -> ProblemData:
    """The problem with the loss that a plan over the horizon grants the classes in its interval `step`.

    The dispatch knows one interval. Where a budget holds over the horizon together, the plan may lose more than the
    mean now and pay it back later; the dispatch may then lose as much as the plan does. A plan that breaks the budget,
    or that knows one interval itself, grants nothing.
    """
    pools = tuple(pool.pool_id for pool in data.pools)
    if plan is None or plan.origin is not PlanOrigin.MILP or tuple(pool.pool_id for pool in plan.pools) != pools:
        return data
    broken = {each.subject for each in plan.slack if each.promise == "quality"}
    classes = []
    for r, cls in enumerate(data.classes):
        if cls.quality_window and cls.class_id not in broken:
            now = max(cls.quality_budget_frac[0], _mean_loss_frac(data, plan, r, step))
            cls = replace(cls, quality_budget_frac=(now, *cls.quality_budget_frac[1:]))
        classes.append(cls)
    return replace(data, classes=tuple(classes))


def _mean_loss_frac(data: ProblemData, plan: Plan, r: int, step: int) -> float:
    """Mean loss of what the plan serves a class in an interval; 0 where it serves nothing."""
    rates = [pool.output_tokens_per_s[r][1][step] for pool in plan.pools]
    lost = sum(rate * loss for rate, loss in zip(rates, data.losses(r), strict=True))
    return lost / sum(rates) if sum(rates) > 0 else 0.0
