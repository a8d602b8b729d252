"""What the site can shed now, in ten minutes and in an hour, at three declared costs to those who are served.

Each reduction is the least power of the tick's own problem, found by its own solvers, with the margin that the control
keeps against error: a limit at what is told is one that the next tick can plan for. Now the routers alone move tokens
between the instances that serve; in ten minutes instances sleep and wake as well; in an hour they also stop and start,
where that is allowed. Whoever cannot be sure tells less, or nothing with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.lifecycle.knowledge import Known
from controller.lifecycle.ladder import fast, slow
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.shed_terms import HOLD_S, ClassTerms, Need, terms_of
from controller.model.capability import Capability, Offer, QosCost
from controller.model.fleet import RequestClass, Site
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.least_power import Reach, least_power_problem, within_reach
from controller.optimizer.planner import Planner
from controller.settlement.quality_budget import QualityBurn

NOW_S, SOON_S, LATER_S = 30.0, 600.0, 3600.0
"""Leads at which a reduction is told: by routers alone, with sleep and wake, with stop and start."""
LEADS_S = (NOW_S, SOON_S, LATER_S)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tick knows that decides what can be shed.

    Attributes:
        data: the problem to plan instances for.
        present: [r], output tokens/s asked for now.
        serving: [k], instances that serve now.
        measured_w: drawn at the meter; None where that is not known.
        margin_frac: share of a limit that is kept free.
        doubts_w: [k], how far P0 of an instance may lie from what the problem says; () for no doubt.
        drain_s: time a drain takes.
        may_stop: whether instances may be stopped for power.
        unknown: why nothing can be told; None where it can.
    """

    now_s: float
    data: ProblemData
    classes: tuple[RequestClass, ...]
    burns: tuple[QualityBurn, ...]
    present: tuple[float, ...]
    serving: tuple[int, ...]
    measured_w: float | None
    margin_frac: float
    doubts_w: tuple[float, ...]
    drain_s: float
    may_stop: bool
    unknown: str | None


def facts_of(
    site: Site, policy: TickPolicy, known: Known, burns: tuple[QualityBurn, ...], doubts_w: tuple[float, ...]
) -> Facts:
    """The facts of a tick."""
    return Facts(
        now_s=known.now_s,
        data=known.data,
        classes=site.classes,
        burns=burns,
        present=tuple(demand.output_tokens_per_s for demand in known.demand),
        serving=tuple(sum(v.serves and v.pool_index == k for v in known.views) for k in range(len(site.pools))),
        measured_w=known.measured.value_w,
        margin_frac=known.margin_frac,
        doubts_w=doubts_w,
        drain_s=policy.drain_expected_s + policy.drain_grace_s,
        may_stop=policy.may_stop,
        unknown=_unknown(policy, known),
    )


def _unknown(policy: TickPolicy, known: Known) -> str | None:
    if policy.mode is not Mode.ACT:
        return f"the controller does not act: mode is {policy.mode.value}"
    if known.measured.value_w is None:
        return "what the site draws is not measured"
    return None if known.holding is None else f"the demand is not known: {known.holding}"


def capability(planner: Planner, facts: Facts, *, time_limit_s: float) -> Capability:
    """What can be shed from the facts' time on.

    Args:
        planner: the solver.
        facts: of a tick.
        time_limit_s: of one search; two are made for each cost.
    """
    if facts.unknown is not None or facts.measured_w is None:
        return Capability(facts.now_s, facts.measured_w, (), facts.unknown or "what the site draws is not measured")
    terms = terms_of(facts.classes, facts.burns, facts.data)
    found: dict[tuple[float, QosCost], _Least] = {}
    for cost in QosCost:
        needs = _needs(facts, terms, cost)
        moved = {lead_s: _moved(planner, facts, lead_s, needs[0], time_limit_s) for lead_s in (SOON_S, LATER_S)}
        found[NOW_S, cost] = _at_once(planner, facts, needs, moved[SOON_S])
        for lead_s in (SOON_S, LATER_S):
            found[lead_s, cost] = moved[lead_s]
    offers = [
        _offer(facts, terms, found, lead_s, cost) for lead_s in LEADS_S for cost in QosCost if (lead_s, cost) in found
    ]
    return Capability(facts.now_s, facts.measured_w, tuple(offers), None, HOLD_S)


def _needs(facts: Facts, terms: tuple[ClassTerms, ...], cost: QosCost) -> tuple[Need, Need]:
    """What is to be served, at the most that is planned for and at present."""
    budgets = tuple(each.plain_frac if cost is QosCost.NONE else each.spending_frac for each in terms)
    highest, present = [], []
    for cls, now in zip(facts.data.classes, facts.present, strict=True):
        asks = not (cost is QosCost.HELD and cls.may_wait)
        highest.append(max(now, *cls.demand_tokens_per_s) if asks else 0.0)
        present.append(now if asks else 0.0)
    return Need(tuple(highest), budgets), Need(tuple(present), budgets)


@dataclass(frozen=True, slots=True)
class _Least:
    """Least power found.

    Attributes:
        expected_w: by the model.
        doubt_w: of the curves of instances that move.
        plan: that draws it.
        need: that it serves.
    """

    expected_w: float
    doubt_w: float
    plan: Plan
    need: Need

    @property
    def surely_w(self) -> float:
        """The upper end."""
        return self.expected_w + self.doubt_w

    @property
    def broken(self) -> tuple[str, ...]:
        """Promises that are not kept."""
        return tuple(f"{each.promise}:{each.subject}" for each in self.plan.slack)


def _at_once(planner: Planner, facts: Facts, needs: tuple[Need, Need], soon: _Least) -> _Least:
    """By the routers alone, so that it also holds as demand rises: by then instances have moved where they must.

    Who drains or comes up still draws.
    """
    highest, present = (_dispatched(planner, facts, need) for need in needs)
    if not highest.broken:
        return highest if highest.expected_w >= present.expected_w else present
    beyond_w = max(0.0, soon.surely_w - present.expected_w)
    return replace(present, doubt_w=max(present.doubt_w, beyond_w))


def _dispatched(planner: Planner, facts: Facts, need: Need) -> _Least:
    data = least_power_problem(facts.data, need.tokens_per_s, need.budgets)
    plan = fast(planner, data, facts.serving).plan
    idle_w = sum(
        data.sites[pool.site].pue * pool.p0_w * max(0, pool.on_now - count)
        for pool, count in zip(facts.data.pools, facts.serving, strict=True)
    )
    return _Least(plan.import_w[0] + idle_w, 0.0, plan, need)


def _moved(planner: Planner, facts: Facts, lead_s: float, need: Need, time_limit_s: float) -> _Least:
    """With instances that have moved, for the most that is planned for."""
    reach = Reach(lead_s, facts.drain_s, facts.may_stop and lead_s >= LATER_S)
    data = least_power_problem(within_reach(facts.data, reach), need.tokens_per_s, need.budgets)
    plan = slow(planner, data, None, time_limit_s=time_limit_s, serving=facts.serving, limit_first=False).plan
    doubts = facts.doubts_w or (0.0,) * len(data.pools)
    doubt_w = sum(
        data.sites[pool.site].pue * doubt * abs(planned.on[0] - count)
        for pool, planned, doubt, count in zip(data.pools, plan.pools, doubts, facts.serving, strict=True)
    )
    return _Least(plan.import_w[0], doubt_w, plan, need)


def _offer(
    facts: Facts,
    terms: tuple[ClassTerms, ...],
    found: dict[tuple[float, QosCost], _Least],
    lead_s: float,
    cost: QosCost,
) -> Offer:
    """The best of what is found within the lead and the cost: who may do more may also do less."""
    drawn_w = facts.measured_w or 0.0
    costs = list(QosCost)[: list(QosCost).index(cost) + 1]
    usable = [found[lead, each] for each in costs for lead in LEADS_S if lead <= lead_s]
    sound = [each for each in usable if not each.broken]
    least = min(sound or usable, key=lambda each: each.surely_w)
    achievable_w = least.surely_w / (1.0 - facts.margin_frac)
    account = least.need.account(terms, facts.data, least.plan, held=_held(facts, least))
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
    )


def _held(facts: Facts, least: _Least) -> tuple[float, ...]:
    """[r], output tokens/s asked for now that are held."""
    return tuple(
        now if asked == 0.0 else 0.0 for now, asked in zip(facts.present, least.need.tokens_per_s, strict=True)
    )
