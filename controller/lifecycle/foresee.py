"""Which promises a plan will break under a limit, from when on and by how much: declared before it happens."""

from __future__ import annotations

from collections.abc import Sequence

from controller.lifecycle.diagnostics import Foreseen
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import rates_of
from controller.optimizer.promises import over_limit_w, over_quality, unserved


def foresee(plan: Plan, data: ProblemData, priorities: Sequence[int]) -> tuple[Foreseen, ...]:
    """Promises to the classes, and limits, that the plan does not keep in its intervals under a limit.

    Args:
        plan: over the horizon, or the first intervals of it.
        data: the problem that it answers.
        priorities: [r], as the routers have them: where one class is not served, or loses more quality than its budget,
            those of its priority that use its pools do as well, whatever the plan has for them: demand that comes
            otherwise than foreseen decides between equals.
    """
    rates, found, classes = rates_of(plan), [], range(len(data.classes))
    lossy = [[may and loss > 0 for may, loss in zip(data.allowed[r], data.losses(r), strict=True)] for r in classes]
    lacks = shared(data, [unserved(data, rates, r) for r in classes], priorities, data.allowed)
    excesses = shared(data, [over_quality(data, rates, r) for r in classes], priorities, lossy)
    for r, cls in enumerate(data.classes):
        found.append(_broken(plan, "serve", cls.class_id, lacks[r], "tokens/s"))
        found.append(_broken(plan, "quality", cls.class_id, excesses[r], "loss·tokens/s"))
    for site, planned in zip(data.sites, plan.sites, strict=True):
        over_w = [over_limit_w(site, drawn_w, t) for t, drawn_w in enumerate(planned.import_w)]
        found.append(_broken(plan, "limit", site.site_id, over_w, "W"))
    return tuple(each for each in found if each is not None)


def shared(
    data: ProblemData,
    lacks: Sequence[Sequence[float]],
    priorities: Sequence[int],
    pools: Sequence[Sequence[bool]],
) -> tuple[tuple[float, ...], ...]:
    """What each class lacks, [r][t]: what the plan leaves undone, by demand over the classes that compete.

    Args:
        data: the problem.
        lacks: [r][t], what the plan leaves undone.
        priorities: [r], of the classes.
        pools: [r][k], those that classes compete for.
    """
    classes = range(len(data.classes))
    out = [[0.0] * len(each) for each in lacks]
    for r, lack in enumerate(lacks):
        rivals = [q for q in classes if q == r or (priorities[q] == priorities[r] and _meet(pools[q], pools[r]))]
        for t, amount in enumerate(lack):
            asked = [data.classes[q].demand_tokens_per_s[t] for q in rivals]
            for q, demand in zip(rivals, asked, strict=True):
                out[q][t] += amount * demand / sum(asked) if amount > 0 else 0.0
    return tuple(tuple(each) for each in out)


def _meet(pools: Sequence[bool], others: Sequence[bool]) -> bool:
    return any(one and other for one, other in zip(pools, others, strict=True))


def _broken(plan: Plan, promise: str, subject: str, amounts: Sequence[float], unit: str) -> Foreseen | None:
    """The promise where some interval under a limit breaks it: the first such interval, and the worst."""
    steps = [t for t, amount in enumerate(amounts) if amount > 0 and plan.is_limited(t)]
    if not steps:
        return None
    begins_s = plan.horizon.start_of(steps[0])
    return Foreseen(promise, subject, max(amounts[t] for t in steps), unit, begins_s)
