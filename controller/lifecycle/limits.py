"""Every limit on what the site may draw, with what yields to it: the standing one, events, and the return from events.

After an event the site must not come back faster than agreed, nor draw more than its baseline because of what waited
meanwhile: that is a limit as well, which rises. Where limits of both precedences hold, the one that outranks the
classes is kept always, the other as far as the promises to the classes allow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from controller.model.grid import GridEvent, Precedence
from controller.model.observation import Missing, Observation
from controller.model.plan import Horizon
from controller.settlement.baseline import PowerHistory, mean_before_w

HOLD_S = 600.0
"""How long the baseline bounds the draw after an event, while requests wait."""
RELEASE_FRAC_PER_S = 0.05 / 600.0
"""Share of the baseline by which that bound rises afterwards: what waited hours must not all come at once either."""
EASED = "#eased"
LONGEST_RISE = 2.0
"""A return ends at so many times its baseline; without one, at so many times its first power."""


@dataclass(frozen=True, slots=True)
class Return:
    """The way back from an event.

    Attributes:
        event_id: of the event.
        from_w: power at its beginning.
        since_s: when the event ended, or was cancelled.
        rate_w_per_s: fastest rise, None for no bound.
        top_w: the baseline with the plan's margin, None where it is not known.
        precedence: the event's.
    """

    event_id: str
    from_w: float
    since_s: float
    rate_w_per_s: float | None
    top_w: float | None
    precedence: Precedence

    @property
    def risen_s(self) -> float:
        """When the bound on the rise ends."""
        if self.rate_w_per_s is None:
            return self.since_s
        top_w = LONGEST_RISE * self.from_w if self.top_w is None else self.top_w
        return self.since_s + max(0.0, top_w - self.from_w) / self.rate_w_per_s

    def most_w(self, time_s: float) -> float | None:
        """What may be drawn at a time at or after its beginning; None without a bound."""
        if time_s < self.risen_s and self.rate_w_per_s is not None:
            return self.from_w + self.rate_w_per_s * max(0.0, time_s - self.since_s)
        if self.top_w is None:
            return None
        return self.top_w * (1.0 + RELEASE_FRAC_PER_S * max(0.0, time_s - self.risen_s - HOLD_S))

    def is_over(self, now_s: float, *, anyone_waits: bool) -> bool:
        """Whether it binds no more: it has risen, and nobody waits or the bound is far above the baseline."""
        if now_s < self.risen_s:
            return False
        released_s = HOLD_S + (LONGEST_RISE - 1.0) / RELEASE_FRAC_PER_S
        return self.top_w is None or not anyone_waits or now_s >= self.risen_s + released_s


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits known at a tick.

    Attributes:
        standing_w: of the site's connection, None where there is none.
        events: those known.
        returns: from events that are over.
        order: what yields to a limit that does not say.
        owed: (event, W) by how much less than its limit must be drawn now to make good what a settlement interval of
            it has had too much.
    """

    standing_w: float | None
    events: tuple[GridEvent, ...] = ()
    returns: tuple[Return, ...] = ()
    order: Precedence = Precedence.CONTRACT
    owed: tuple[tuple[str, float], ...] = ()

    def at(self, time_s: float, only: Precedence | None = None, *, ramped_by_s: float | None = None) -> float | None:
        """Most the site may draw at a time: the most restrictive limit, None without one.

        Args:
            time_s: wall clock.
            only: leave out the limits of the other precedence.
            ramped_by_s: leave out the events whose ramp goes on beyond this time.
        """
        bounds = [] if self.standing_w is None or only not in (None, self.order) else [self.standing_w]
        for event in self.events:
            is_firm = ramped_by_s is None or event.start_s + event.ramp_s <= ramped_by_s
            if event.start_s <= time_s < event.end_s and is_firm and only in (None, self.of(event)):
                bounds.append(event.limit_w)
        for back in self.returns:
            most_w = back.most_w(time_s)
            if most_w is not None and only in (None, back.precedence):
                bounds.append(most_w)
        return min(bounds, default=None)

    def is_rising(self, now_s: float) -> bool:
        """Whether a limit rises with time."""
        return any(now_s < back.risen_s for back in self.returns)

    def is_only_returning(self, now_s: float) -> bool:
        """Whether nothing but the return from events bounds the draw."""
        return self.at(now_s) is not None and replace(self, returns=()).at(now_s) is None

    def of(self, event: GridEvent) -> Precedence:
        """What yields under an event's limit."""
        return self.order if event.precedence is None else event.precedence

    def order_at(self, time_s: float) -> Precedence:
        """What yields to the limit that binds at a time; the configured order without one."""
        limit_w = self.at(time_s)
        if limit_w is None:
            return self.order
        return Precedence.CONTRACT if self.at(time_s, Precedence.CONTRACT) == limit_w else Precedence.QOS

    def planned(self, horizon: Horizon, only: Precedence | None = None) -> tuple[float | None, ...]:
        """Limit of each interval: the most restrictive one that holds at any time of it (R9).

        The present interval takes only what is in force now, so that nothing is curtailed before an event's start.
        """
        out = []
        for step in range(horizon.steps):
            start_s, end_s = horizon.start_of(step), horizon.start_of(step + 1)
            times = [start_s]
            if step > 0:
                times += [event.start_s for event in self.events if start_s < event.start_s < end_s]
            bounds = [bound for time_s in times if (bound := self.at(time_s, only)) is not None]
            out.append(min(bounds, default=None))
        if out[0] is not None:
            out[0] = max(0.0, min([out[0], *self._made_good_w(horizon.start_s, only)]))
        return tuple(out)

    def _made_good_w(self, time_s: float, only: Precedence | None) -> list[float]:
        """The limits in force of which something is owed, less that."""
        owed = dict(self.owed)
        return [
            event.limit_w - owed[event.event_id]
            for event in self.events
            if event.event_id in owed and event.start_s <= time_s < event.end_s and only in (None, self.of(event))
        ]

    def firm(self, horizon: Horizon) -> tuple[float | None, ...] | None:
        """Limits of the intervals that outrank the classes, where some interval's most restrictive one does not."""
        every, firm = self.planned(horizon), self.planned(horizon, Precedence.CONTRACT)
        return None if every == firm else firm

    def yields_first(self, horizon: Horizon) -> Precedence:
        """What yields to the most restrictive limits of a horizon: the classes, unless one of them yields to those."""
        if all(bound is None for bound in self.planned(horizon)):
            return self.order
        return Precedence.CONTRACT if self.firm(horizon) is None else Precedence.QOS


@dataclass(frozen=True, slots=True)
class Followed:
    """What of events is remembered from tick to tick.

    Attributes:
        active: events in force at the last tick, their baseline told as far as known.
        returns: from those that are over.
    """

    active: tuple[GridEvent, ...] = ()
    returns: tuple[Return, ...] = ()


def follow(
    followed: Followed,
    observation: Observation,
    measured_w: float | None,
    *,
    baselines_w: tuple[tuple[str, float], ...],
    order: Precedence,
    margin_frac: float = 0.0,
) -> Followed:
    """What is remembered after another look: an event that is over, or no longer told of, begins its return.

    Returns to a baseline or at a bounded rate are kept until they are over; an event in force again ends its own. One
    that is followed in part from now on, or no longer as low, begins a return to its raised limit where its rate is
    bounded: that must be no jump either.
    The margin that the plan keeps free of any limit comes on top of what was drawn: with it, what is drawn at the end
    may be drawn on, and what the baseline tells may be drawn again.
    """
    now_s = observation.now_s
    known = dict(baselines_w)
    active = tuple(
        replace(event, baseline_w=known.get(event.event_id) if event.baseline_w is None else event.baseline_w)
        for event in observation.events
        if event.start_s <= now_s < event.end_s
    )
    on = {event.event_id for event in active}
    ended = [event for event in followed.active if event.event_id not in on]
    ended += _eased(followed.active, active, now_s)
    begun = tuple(_return_of(event, min(event.end_s, now_s), measured_w, order, 1.0 - margin_frac) for event in ended)
    router = observation.router
    waits = not isinstance(router, Missing) and any(cls.queued > 0 for cls in router.demand)
    anew = on | {back.event_id for back in begun}
    kept = (*(back for back in followed.returns if back.event_id not in anew), *begun)
    return Followed(active, tuple(back for back in kept if not back.is_over(now_s, anyone_waits=waits)))


def _eased(before: tuple[GridEvent, ...], active: tuple[GridEvent, ...], now_s: float) -> list[GridEvent]:
    """The limits in force that the operator has just raised, as they were until now."""
    known = {event.event_id: event for event in before if event.restore_w_per_s is not None}
    return [
        replace(known[event.event_id], event_id=event.event_id + EASED, end_s=now_s)
        for event in active
        if event.asked_limit_w is not None and event.event_id in known and known[event.event_id].limit_w < event.limit_w
    ]


def _return_of(
    event: GridEvent, since_s: float, measured_w: float | None, order: Precedence, used_frac: float
) -> Return:
    top_w = None if event.baseline_w is None else event.baseline_w / used_frac
    from_w = event.limit_w if measured_w is None else min(event.limit_w, measured_w / used_frac)
    if top_w is not None:
        from_w = min(from_w, top_w)
    return Return(
        event_id=event.event_id,
        from_w=from_w,
        since_s=since_s,
        rate_w_per_s=event.restore_w_per_s,
        top_w=top_w,
        precedence=order if event.precedence is None else event.precedence,
    )


def owed(
    history: PowerHistory, events: tuple[GridEvent, ...], now_s: float, *, most_frac: float
) -> tuple[tuple[str, float], ...]:
    """By how much less than its limit must be drawn until a settlement interval's end, so that its mean keeps it, W.

    What an interval has drawn too little is no reason to draw more later: the limit holds at every moment. Where the
    mean is over it, as meter or demand surprised, what is left of the interval makes it good, as far as `most_frac` of
    the limit goes.

    Args:
        history: measured power.
        events: those known.
        now_s: wall clock.
        most_frac: largest share of a limit that may be owed.

    Returns those events of whose interval something is owed.
    """
    found = ((event.event_id, _owed_of(history, event, now_s, most_frac)) for event in events)
    return tuple((event_id, watts) for event_id, watts in found if watts > 0.0)


def _owed_of(history: PowerHistory, event: GridEvent, now_s: float, most_frac: float) -> float:
    length_s, firm_s = event.settlement_interval_s, event.start_s + event.ramp_s
    if length_s is None or not firm_s < now_s < event.end_s:
        return 0.0
    begins_s = now_s - (now_s if event.settles_on_clock else now_s - firm_s) % length_s
    from_s, left_s = max(begins_s, firm_s), min(begins_s + length_s, event.end_s) - now_s
    mean_w = mean_before_w(history.samples, now_s, now_s - from_s)
    if mean_w is None or mean_w <= event.limit_w:
        return 0.0
    over_j = (mean_w - event.limit_w) * (now_s - from_s)
    return min(most_frac * event.limit_w, over_j / max(left_s, 1.0))
