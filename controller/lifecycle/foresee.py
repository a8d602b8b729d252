"""Which promises a plan will break under a limit, from when on and by how much: declared before it happens."""

from __future__ import annotations

from collections.abc import Sequence

from controller.lifecycle.diagnostics import Foreseen
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.outcome import rates_of
from controller.optimizer.promises import over_limit_w, over_quality, unserved


def foresee(plan: Plan, data: ProblemData) -> tuple[Foreseen, ...]:
    """Promises to the classes, and limits, that the plan does not keep in its intervals under a limit.

    Args:
        plan: over the horizon, or the first intervals of it.
        data: the problem that it answers.
    """
    rates, found = rates_of(plan), []
    for r, cls in enumerate(data.classes):
        found.append(_broken(plan, "serve", cls.class_id, unserved(data, rates, r), "tokens/s"))
        found.append(_broken(plan, "quality", cls.class_id, over_quality(data, rates, r), "loss·tokens/s"))
    for site, planned in zip(data.sites, plan.sites, strict=True):
        over_w = [over_limit_w(site, drawn_w, t) for t, drawn_w in enumerate(planned.import_w)]
        found.append(_broken(plan, "limit", site.site_id, over_w, "W"))
    return tuple(each for each in found if each is not None)


def _broken(plan: Plan, promise: str, subject: str, amounts: Sequence[float], unit: str) -> Foreseen | None:
    """The promise where some interval under a limit breaks it: the first such interval, and the worst."""
    steps = [t for t, amount in enumerate(amounts) if amount > 0 and plan.is_limited(t)]
    if not steps:
        return None
    begins_s = plan.horizon.start_of(steps[0])
    return Foreseen(promise, subject, max(amounts[t] for t in steps), unit, begins_s)
