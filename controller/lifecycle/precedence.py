"""Limits of both precedences at once: those that outrank the classes are kept, the others as far as the classes allow.

What the classes need is asked first, with the classes before every limit. Where that draws more than a limit allows
that outranks them, it is asked again under that limit, and under the others only as far as the first answer kept them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from controller.lifecycle.ladder import Made
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.promises import POWER_TOLERANCE_W


@dataclass(frozen=True, slots=True)
class Asked:
    """A problem with what yields in it.

    Attributes:
        limit_first: whether the limits outrank the classes.
    """

    data: ProblemData
    limit_first: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What was made, and the problem that it answers."""

    made: Made
    data: ProblemData


def answered(every: Asked, firm: ProblemData | None, make: Callable[[Asked], Made]) -> Answer:
    """Make a plan under all limits.

    Args:
        every: the problem with all of them.
        firm: the same with the limits alone that outrank the classes, where others are more restrictive; else None.
        make: a plan of a problem.
    """
    made = make(every)
    bound = None if firm is None else binding(made.plan, every.data, firm)
    if bound is None:
        return Answer(made, every.data)
    again = make(Asked(bound, limit_first=True))
    return Answer(replace(again, fallbacks=(*made.fallbacks, *again.fallbacks)), bound)


def binding(plan: Plan, data: ProblemData, firm: ProblemData) -> ProblemData | None:
    """The problem in which limits that outrank the classes are kept, and others as far as a plan keeps them.

    Args:
        plan: made for `data`, where the classes outrank every limit: it tells what they need.
        data: the problem with all limits.
        firm: the same with the limits alone that outrank the classes, and their price.

    Returns None where the plan keeps those already.
    """
    sites, is_kept = [], True
    for planned, every, site in zip(plan.sites, data.sites, firm.sites, strict=True):
        bounds: list[float | None] = []
        for drawn_w, limit_w, firm_w in zip(planned.import_w, every.limit_w, site.limit_w, strict=False):
            is_kept &= firm_w is None or drawn_w <= firm_w + POWER_TOLERANCE_W
            needed_w = None if limit_w is None else max(limit_w, drawn_w)
            bounds.append(min((bound for bound in (needed_w, firm_w) if bound is not None), default=None))
        sites.append(replace(site, limit_w=(*bounds, *site.limit_w[len(bounds) :])))
    return None if is_kept else replace(firm, sites=tuple(sites))
