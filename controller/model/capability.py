"""What a site can shed, told so that it can be relied on: how much, how soon, for how long, how often, at what cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.model.derate import Derate, Derates, next_below, tightest
from controller.model.grid import Precedence


class QosCost(StrEnum):
    """What a reduction costs those who are served; each includes the one before."""

    NONE = "none"
    """No promise is broken, and it does not rest on saved quality."""
    QUALITY = "quality"
    """It rests on what the rolling quality budgets have saved, for as long as that lasts; no promise is broken."""
    WAITING = "waiting"
    """Promises yield in the plan's order down to serving classes that may wait: room in the engines, then they wait. No
    quality budget is exceeded, and nobody else is left unserved."""
    HELD = "held"
    """Quality budgets yield as well. Nobody but those that may wait is left unserved."""

    @property
    def gives_way(self) -> bool:
        """Whether promises yield."""
        return self in (QosCost.WAITING, QosCost.HELD)


@dataclass(frozen=True, slots=True)
class Offer:
    """A reduction that can be called.

    Attributes:
        lead_s: from the call until it is reached.
        cost: to those who are served.
        achievable_w: least limit at the meter that is kept, with the margin against error: the pessimistic end.
        expected_w: what is then drawn by the model, without the margin.
        shed_w: below the present draw, by `achievable_w`; never negative.
        duration_s: how long it can be kept once reached; None where nothing known ends it.
        recovery_s: until what it cost is made good; 0 where it cost nothing, None where that is not known or never.
        recovery_j: energy at the meter that serving what was held takes afterwards; None where that is not known.
        events_per_day: how often it can be called; None where nothing limits that.
        broken: promises that are broken also without it, as ``promise:subject``.
        yields: promises that the plan breaks to keep it, as ``promise:subject``.
        derate: by which it is less, or shorter, than it could be; None where it is not.
        possible: the same without any derate; None where that is this one.
    """

    lead_s: float
    cost: QosCost
    achievable_w: float
    expected_w: float
    shed_w: float
    duration_s: float | None
    recovery_s: float | None = 0.0
    recovery_j: float | None = 0.0
    events_per_day: float | None = None
    broken: tuple[str, ...] = ()
    yields: tuple[str, ...] = ()
    derate: Derate | None = None
    possible: Offer | None = None

    @property
    def uncertainty_w(self) -> float:
        """How far what is told stands above what is expected."""
        return self.achievable_w - self.expected_w

    def lasts_until_s(self, begin_s: float) -> float:
        """Until when it can be kept if it begins then; infinite where nothing known ends it."""
        return math.inf if self.duration_s is None else begin_s + self.duration_s

    def lasts(self, duration_s: float) -> bool:
        """Whether it can be kept for so long."""
        return self.duration_s is None or self.duration_s >= duration_s


@dataclass(frozen=True, slots=True)
class Capability:
    """What a site can shed from a time on. Missing is not zero: where it is not known there is no offer.

    Attributes:
        now_s: when it was told.
        drawn_w: measured at the meter then, no more than on the mean before; None where it is not known.
        offers: by lead, then by cost.
        unknown: why there are none; None where there are.
        hold_s: durations are looked for at least this long.
        order: what yields to a limit that does not say.
        derates: by which less is offered; the offers are what is left.
        as_of_s: when that was looked at, from which leads count.
    """

    now_s: float
    drawn_w: float | None
    offers: tuple[Offer, ...] = ()
    unknown: str | None = None
    hold_s: float = 3600.0
    order: Precedence = Precedence.CONTRACT
    derates: Derates = ()
    as_of_s: float = 0.0

    @property
    def possible(self) -> tuple[Offer, ...]:
        """The offers without any derate."""
        return tuple(each.possible or each for each in self.offers)

    @property
    def leads_s(self) -> tuple[float, ...]:
        """Leads of the offers, each once: without notice, in ten minutes, in an hour."""
        return tuple(dict.fromkeys(each.lead_s for each in self.offers))

    def at(self, lead_s: float, cost: QosCost) -> Offer | None:
        """The offer of the longest lead within `lead_s`, as derates leave it then; None where there is none."""
        within = [each for each in self.possible if each.cost is cost and each.lead_s <= lead_s + 1e-6]
        found = max(within, key=lambda each: each.lead_s, default=None)
        return None if found is None else self._left(found, max(lead_s, found.lead_s))

    def derated(self, derates: Derates, now_s: float) -> Capability:
        """The same with what the operator lets be offered from now on."""
        if not derates and not self.derates:
            return self
        told = replace(self, derates=derates, as_of_s=now_s)
        return replace(told, offers=tuple(told._left(each, each.lead_s) for each in self.possible))

    def _left(self, offer: Offer, lead_s: float) -> Offer:
        """What derates leave of an offer that is called so far ahead: less, or only until less is offered."""
        begin_s = self.as_of_s + lead_s
        held = tightest(self.derates, begin_s)
        left = offer if held is None or held.shed_w >= offer.shed_w else _no_more(offer, held, self.drawn_w)
        later = next_below(self.derates, left.shed_w, begin_s)
        if later is None or left.lasts_until_s(begin_s) <= later.start_s:
            return left
        return replace(left, duration_s=later.start_s - begin_s, derate=left.derate or later, possible=offer)

    def costs(self, order: Precedence | None) -> tuple[QosCost, ...]:
        """What a limit may cost: one that yields to the classes has no promise to them broken.

        Args:
            order: of the limit; None for what holds where it does not say.
        """
        yields = Precedence.QOS in (self.order, order)
        return tuple(cost for cost in QosCost if not (yields and cost.gives_way))

    def keeping(
        self, limit_w: float, lead_s: float, duration_s: float, order: Precedence | None = None
    ) -> Offer | None:
        """The offer of least cost that keeps a limit from `lead_s` on for a duration; None where none does."""
        for cost in self.costs(order):
            offer = self.at(lead_s, cost)
            if offer is not None and offer.achievable_w <= limit_w and not offer.broken and offer.lasts(duration_s):
                return offer
        return None


def _no_more(offer: Offer, derate: Derate, drawn_w: float | None) -> Offer:
    """An offer of no more than a derate leaves: the least limit is as far below the draw."""
    achievable_w = offer.achievable_w if drawn_w is None else max(offer.achievable_w, drawn_w - derate.shed_w)
    return replace(
        offer,
        shed_w=derate.shed_w,
        achievable_w=achievable_w,
        expected_w=offer.expected_w + achievable_w - offer.achievable_w,
        derate=derate,
        possible=offer,
    )
