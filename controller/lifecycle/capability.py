"""What the site can shed now, in ten minutes and in an hour, at four declared costs to those who are served.

Each reduction is the least power of the tick's own problem, found by its own solvers, with the margin that the control
keeps against error: a limit at what is told is one that the next tick can plan for. What it costs is what that plan
then breaks by its own prices. Whoever cannot be sure tells less, or nothing with the reason.
"""

from __future__ import annotations

from controller.lifecycle.shed_facts import Facts, facts_of
from controller.lifecycle.shed_search import LATER_S, NOW_S, SOON_S, Least, Search, without_notice_s
from controller.lifecycle.shed_terms import HOLD_S, ClassTerms, account_of, terms_of
from controller.lifecycle.shed_yields import names_of
from controller.model.capability import Capability, Offer, QosCost
from controller.model.grid import Precedence
from controller.optimizer.planner import Planner

__all__ = ["LATER_S", "NOW_S", "SOON_S", "Facts", "capability", "facts_of"]


def capability(planner: Planner, facts: Facts, *, time_limit_s: float) -> Capability:
    """What can be shed from the facts' time on.

    Args:
        planner: the solver.
        facts: of a tick.
        time_limit_s: of one search; up to twenty are made for each cost.
    """
    if facts.unknown is not None or facts.measured_w is None:
        return Capability(facts.now_s, facts.measured_w, (), facts.unknown or "what the site draws is not measured")
    terms = terms_of(facts.classes, facts.burns, facts.data)
    search = Search(planner, facts, terms, time_limit_s)
    at_once_s = without_notice_s(facts)
    found: dict[tuple[float, QosCost], Least] = {}
    cheaper: dict[float, Least] = {}
    for cost in _costs(facts):
        for lead_s in (SOON_S, LATER_S):
            found[lead_s, cost] = cheaper[lead_s] = search.moved(lead_s, cost, cheaper.get(lead_s))
        now = search.at_once(cost, found[SOON_S, cost], cheaper.get(at_once_s))
        found[at_once_s, cost] = cheaper[at_once_s] = now
    leads_s = (at_once_s, SOON_S, LATER_S)
    offers = [_offer(facts, terms, found, lead_s, cost) for lead_s in leads_s for cost in QosCost]
    return Capability(facts.now_s, facts.measured_w, tuple(offers), None, HOLD_S, facts.order)


def _costs(facts: Facts) -> tuple[QosCost, ...]:
    """Those that the order of promises lets a call have: where the limit yields to the classes, nobody gives way."""
    return tuple(cost for cost in QosCost if not cost.gives_way or facts.order is Precedence.CONTRACT)


def _offer(
    facts: Facts,
    terms: tuple[ClassTerms, ...],
    found: dict[tuple[float, QosCost], Least],
    lead_s: float,
    cost: QosCost,
) -> Offer:
    """The best of what is found within the lead and the cost: who may do more may also do less."""
    drawn_w = facts.measured_w or 0.0
    costs = list(QosCost)[: list(QosCost).index(cost) + 1]
    usable = [least for (within_s, each), least in found.items() if within_s <= lead_s and each in costs]
    sound = [each for each in usable if not each.broken]
    least = min(sound or usable, key=lambda each: each.surely_w)
    achievable_w = least.surely_w / (1.0 - facts.margin_frac)
    account = account_of(terms, facts.data, (least.plan, least.called), facts.present, least.cost)
    return Offer(
        lead_s=lead_s,
        cost=cost,
        achievable_w=achievable_w,
        expected_w=least.expected_w,
        shed_w=0.0 if least.broken else max(0.0, drawn_w - achievable_w),
        duration_s=account.duration_s,
        recovery_s=account.recovery_s,
        recovery_j=account.recovery_j,
        events_per_day=account.events_per_day,
        broken=least.broken,
        yields=names_of(least.called.slack) if not least.broken else (),
    )
