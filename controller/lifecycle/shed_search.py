"""The least power of a tick's problem at each cost to those who are served, and what a limit of as much then breaks.

Now the routers move tokens between the instances that serve, and those that are not needed are drained and put to
sleep; in ten minutes others wake in their stead as well; in an hour they also stop and start, where that is allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from controller.lifecycle.ladder import slow
from controller.lifecycle.shed_facts import Facts
from controller.lifecycle.shed_terms import ClassTerms
from controller.lifecycle.shed_yields import called, names_of, refused, yielding
from controller.model.capability import QosCost
from controller.model.plan import Plan
from controller.optimizer.data import ProblemData
from controller.optimizer.least_power import Reach, least_power_problem, within_reach
from controller.optimizer.planner import Planner

NOW_S, SOON_S, LATER_S = 30.0, 600.0, 3600.0
"""Leads at which a reduction is told: with what goes, with sleep and wake, with stop and start; the first at least."""
SPARE_FRAC = 0.003
"""Share of the least power that is told on top: a limit must not fail for a hair's breadth more of demand."""
BACKED_OFF = (0.0, 0.25, 0.5, 0.75)
"""Shares of the way from the least power up to that of less cost at which a limit is tried."""


@dataclass(frozen=True, slots=True)
class Least:
    """Least power found.

    Attributes:
        expected_w: by the model.
        doubt_w: of the curves of instances that move.
        data: that it answers.
        cost: at which.
        plan: that draws it.
        broken: promises that are broken and may not be at its cost, as ``promise:subject``.
        called: the plan under a limit of as much, with the tick's prices; the same plan where none is asked for.
    """

    expected_w: float
    doubt_w: float
    cost: QosCost
    data: ProblemData
    plan: Plan
    broken: tuple[str, ...]
    called: Plan

    @property
    def surely_w(self) -> float:
        """The upper end."""
        return (1.0 + SPARE_FRAC) * (self.expected_w + self.doubt_w)


def without_notice_s(facts: Facts) -> float:
    """By when a call without notice is followed: answers under way have ended, and who is not needed sleeps.

    In whole half minutes; drains that take as long as the next lead are not waited for.
    """
    gone_s = max((gone for gone, count in zip(facts.gone_s, facts.serving, strict=True) if count), default=0.0)
    return min(max(NOW_S, math.ceil(gone_s / NOW_S) * NOW_S), SOON_S - NOW_S)


@dataclass(frozen=True, slots=True)
class Search:
    """Searches for least powers."""

    planner: Planner
    facts: Facts
    terms: tuple[ClassTerms, ...]
    time_limit_s: float

    def at_once(self, cost: QosCost, soon: Least, cheaper: Least | None) -> Least:
        """With those gone that need not serve, so that it also holds as demand rises.

        Where those that serve are too few for that, for the present demand: by then instances have moved where they
        must.
        """
        lead_s = without_notice_s(self.facts)
        highest = self._moved(lead_s, cost, cheaper, self._most)
        if not highest.broken:
            return highest
        present = self._moved(lead_s, cost, cheaper, self.facts.present)
        beyond_w = max(0.0, soon.surely_w - present.expected_w)
        return replace(present, doubt_w=max(present.doubt_w, beyond_w))

    def moved(self, lead_s: float, cost: QosCost, cheaper: Least | None) -> Least:
        """With instances that have moved, for the most that is planned for.

        Args:
            lead_s: by when.
            cost: to those served.
            cheaper: what is found at less cost within the lead, None where there is none.
        """
        return self._moved(lead_s, cost, cheaper, self._most)

    def _moved(self, lead_s: float, cost: QosCost, cheaper: Least | None, tokens_per_s: tuple[float, ...]) -> Least:
        facts = self.facts
        may_stop, may_come = facts.may_stop and lead_s >= LATER_S, lead_s >= SOON_S
        reach = Reach(lead_s, facts.gone_s, may_stop, may_come, facts.coming_s)
        data = self._least(within_reach(facts.data, reach), cost, tokens_per_s)
        plan = self._planned(data)
        doubts = facts.doubts_w or (0.0,) * len(data.pools)
        doubt_w = sum(
            data.sites[pool.site].pue * doubt * abs(planned.on[0] - count)
            for pool, planned, doubt, count in zip(data.pools, plan.pools, doubts, facts.serving, strict=True)
        )
        found = Least(plan.import_w[0], doubt_w, cost, data, plan, self._broken(data, plan, cost), plan)
        return found if cheaper is None or found.broken else self._called(found, cheaper, tokens_per_s)

    def _called(self, found: Least, cheaper: Least, tokens_per_s: tuple[float, ...]) -> Least:
        """The lowest limit down to what is found that the plan keeps at the cost; what it breaks where there is none.

        Prices of promises add up: at the very least power the plan may rather break another promise.
        """
        room_w, refused_at_once = max(0.0, cheaper.surely_w - found.surely_w), None
        for share in BACKED_OFF:
            off = replace(found, expected_w=found.expected_w + share * room_w)
            under = self._planned(self._under(off.data, tokens_per_s, off.surely_w))
            asked = replace(off, called=under, broken=self._broken(off.data, under, off.cost))
            if not asked.broken:
                return asked
            refused_at_once = refused_at_once or asked
        return refused_at_once or found

    @property
    def _waits(self) -> tuple[bool, ...]:
        """[r], whether a class may wait."""
        return tuple(cls.may_wait for cls in self.facts.classes)

    @property
    def _most(self) -> tuple[float, ...]:
        """[r], output tokens/s: the most that is planned for, or the present where that is more."""
        return tuple(
            max(now, *cls.demand_tokens_per_s)
            for cls, now in zip(self.facts.data.classes, self.facts.present, strict=True)
        )

    def _least(self, data: ProblemData, cost: QosCost, tokens_per_s: tuple[float, ...]) -> ProblemData:
        """The problem of least power at a cost."""
        spending = tuple(each.plain_frac if cost is QosCost.NONE else each.spending_frac for each in self.terms)
        if cost not in (QosCost.WAITING, QosCost.HELD):
            return least_power_problem(data, tokens_per_s, spending)
        asked = tuple(0.0 if may else each for each, may in zip(tokens_per_s, self._waits, strict=True))
        budgets = (1.0,) * len(asked) if cost is QosCost.HELD else spending
        return yielding(least_power_problem(data, asked, budgets))

    def _under(self, least: ProblemData, tokens_per_s: tuple[float, ...], limit_w: float) -> ProblemData:
        asked = tuple(zip(tokens_per_s, (each.granted_frac for each in self.terms), strict=True))
        return called(self.facts.data, least, asked, limit_w)

    def _planned(self, data: ProblemData) -> Plan:
        serving = self.facts.serving
        made = slow(self.planner, data, None, time_limit_s=self.time_limit_s, serving=serving, limit_first=False)
        return made.plan

    def _broken(self, data: ProblemData, plan: Plan, cost: QosCost) -> tuple[str, ...]:
        return names_of(refused(plan.slack, data, self._waits, cost))
