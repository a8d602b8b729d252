"""Filter, score, pick: the pool by its share of the tokens, the instance by its load. Pure.

**Pool.** Each class counts the output tokens it had of each pool, divided by the pool's share of them: the pool's
*pass*. A request goes to the pool with the smallest one, and its expected tokens are counted at once; when the answer's
true length is known the difference is counted the same way (stride scheduling: Waldspurger 1995, with the deficits of
Shreedhar and Varghese 1995). The mean of the passes by share is what every pool was *promised*, and a pool's distance
from it times its share is its *credit*: what it was promised and has not served. Credits add up to nothing, so the
share served follows the weights with an error of a few requests however long they are. A pool that cannot serve
gathers no credit, and a change of weights only changes what is promised from then on: neither is followed by a burst.

**Instance.** The one with the least load: see `pool`. Requests that belong together keep to one: see `affinity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from router.accounting import ClassCounts, Tally
from router.affinity import hash_node, pick_weighted
from router.contract import InstanceId, Precision
from router.exchange import Ask
from router.fleet import Fleet
from router.pool import Pool
from router.slot import Slot

CATCH_UP_REQUESTS = 64.0
"""Requests' worth of credit after which a pool that is full gathers no more."""
AHEAD_FRAC = 0.004
"""Share of the tokens a class has had that may be in other pools than promised because prompts that begin alike are."""
AHEAD_REQUESTS = 8.0
"""Requests' worth that these are at most."""
MAX_HOMES = 4096
"""Sessions and prefixes whose pool is remembered rather than found again."""
LENGTH_GAIN = 0.02
"""How far the expected length moves towards that of an answer."""
_LEAD_REQUESTS = 0.75
"""Requests' worth that every pool starts with as if it had had them, which weighs more where the share is small.

Without them a pool of small share would be ahead of its promise on the mean, by half a request of constant length
and more of varied ones (the inspection paradox: half of E[L^2] / E[L]), all of it at the cost of the large ones.
"""


class Unavailable(Enum):
    """Why no instance was picked."""

    FULL = "full"
    """Instances can serve, all of them are at their caps."""
    NOTHING_USABLE = "nothing_usable"
    """No instance can serve."""


class Lane:
    """What one class has of one pool.

    Attributes:
        tally: counts what it has.
        is_degraded: the class may have better precisions than this.
        multiplier: for hashing.
        share: of the class's tokens, all lanes' shares adding up to one; all 0 while the allocation names none of them.
        inverse: one over `share`.
        credit: tokens promised and not served, as of the last change of weights or of the instances at hand.
        at: index among the lanes with a share whose pools can serve, or -1.
    """

    __slots__ = ("at", "credit", "inverse", "is_degraded", "multiplier", "pool", "share", "tally")

    def __init__(self, pool: Pool, tally: Tally, *, is_degraded: bool) -> None:
        self.pool = pool
        self.tally = tally
        self.is_degraded = is_degraded
        self.multiplier = hash_node(pool.pool_id)
        self.share = 0.0
        self.inverse = 0.0
        self.credit = 0.0
        self.at = -1


class ClassPolicy:
    """Picks for the requests of one class.

    Args:
        fleet: of the pools.
        lanes: to the pools whose precision the class allows, in the order of the configuration.
        counts: the class's.
        expected_tokens: output tokens of a request before any answer has ended.

    Attributes:
        expected_tokens: moving mean of the output tokens of answered requests; whoever learns of one moves it by
            `LENGTH_GAIN` of the difference.
        lanes: in the order of the configuration.
        lane_of: by the number of the pool.
    """

    def __init__(self, fleet: Fleet, lanes: Sequence[Lane], counts: ClassCounts, expected_tokens: float) -> None:
        self._fleet = fleet
        self.lanes = tuple(lanes)
        self._by_precision: dict[Precision, list[Lane]] = {}
        self.lane_of = {lane.pool.number: lane for lane in lanes}
        self.counts = counts
        self.expected_tokens = expected_tokens
        for lane in lanes:
            self._by_precision.setdefault(lane.pool.precision, []).append(lane)
        self._live: list[Lane] = []
        self._passes: list[float] = []
        self._promised = 0.0
        self._lead = 0.0
        self._live_share = 1.0
        self._ahead_tokens = 0.0
        self._homes: dict[int, Lane] = {}
        self._changes = -1

    def set_weights(self, weights: Sequence[float]) -> None:
        """Follow other weights from now on, one for each lane.

        What a pool that keeps a weight was still owed stays, nothing is added.
        """
        total = sum(weights)
        shares = [weight / total if total > 0 else 0.0 for weight in weights]
        if shares == [lane.share for lane in self.lanes]:
            return
        self._note_credits()
        excess = sum(lane.credit for lane, share in zip(self.lanes, shares, strict=True) if share > 0)
        for lane, share in zip(self.lanes, shares, strict=True):
            lane.credit = lane.credit - excess * share if share > 0 else 0.0
            lane.share = share
            lane.inverse = 1.0 / share if share > 0 else 0.0
        self._start_passes()

    def adopt(self, old: ClassPolicy) -> None:
        """Take over the lengths learnt and what is owed to pools of the same names; `old` picks no more."""
        self.expected_tokens = old.expected_tokens
        old._note_credits()
        before = {lane.pool.pool_id: lane for lane in old.lanes}
        for lane in old.lanes:
            lane.at = -1
        for lane in self.lanes:
            known = before.get(lane.pool.pool_id)
            if known is not None:
                lane.share, lane.inverse, lane.credit = known.share, known.inverse, known.credit

    def pick(self, ask: Ask, tried: Sequence[InstanceId] = ()) -> Slot | Unavailable:
        """The instance for a request, without reserving it.

        Pools without weight get a request only when none with weight has an instance that can serve, and a pool that
        is merely full is waited for: availability comes before the allocation, speed does not. Where no pool has one,
        an ejected instance that has answered its last probe is better than none.
        """
        if self._changes != self._fleet.changes:
            self._note_credits()
            self._start_passes()
        passes = self._passes
        if passes and not tried and ask.precision is None:
            position = ask.position
            if position is None:
                pool = self._live[passes.index(min(passes))].pool
                if pool.free:
                    return pool.emptiest()
            else:
                pool = self._home_of(position, is_session=ask.is_session).pool
                if pool.free:
                    return pool.near(position)
        return self._search(ask, tried)

    def charge(self, lane: Lane, tokens: float) -> None:
        """Count tokens as served by a pool with a share, more or (negative) fewer."""
        at = lane.at
        if at >= 0:
            self._passes[at] += tokens * lane.inverse
        else:
            lane.credit -= tokens
        self._promised += tokens

    def keep_pace(self) -> None:
        """Follow the expected length where it has moved far, and the tokens had. Call it several times a second."""
        had = sum(lane.tally.traffic.output_tokens for lane in self.lanes)
        ahead = min(AHEAD_FRAC * had, AHEAD_REQUESTS * self.expected_tokens)
        # What all others are ahead of is what one lacks.
        self._ahead_tokens = ahead / max(1, len(self._live) - 1)
        if not 0.8 <= self._lead / (_LEAD_REQUESTS * self.expected_tokens) <= 1.25:
            self._note_credits()
            self._start_passes()

    def credit_of(self, lane: Lane) -> float:
        """Tokens promised to a pool and not served."""
        if lane.at < 0:
            return lane.credit
        return lane.share * (self._promised / self._live_share - self._passes[lane.at]) + self._lead

    def _note_credits(self) -> None:
        for lane in self._live:
            lane.credit = self.credit_of(lane)

    def _start_passes(self) -> None:
        """Begin to count anew from the credits, among the lanes whose pools can serve."""
        for lane in self.lanes:
            lane.at = -1
        self._live = [lane for lane in self.lanes if lane.share > 0 and lane.pool.ready]
        for at, lane in enumerate(self._live):
            lane.at = at
        self._lead = lead = _LEAD_REQUESTS * self.expected_tokens
        self._passes = [(lead - lane.credit) * lane.inverse for lane in self._live]
        self._promised = 0.0
        self._live_share = sum(lane.share for lane in self._live) or 1.0
        self._homes.clear()
        self._changes = self._fleet.changes

    def _home_of(self, position: int, *, is_session: bool) -> Lane:
        """The lane a key belongs to among those whose pools can serve; a prefix leaves one that had too much."""
        home = self._homes.get(position)
        if home is None:
            if len(self._homes) >= MAX_HOMES:
                self._homes.clear()
            home = self._homes[position] = _home_among(self._live, position)
        if not is_session and self.credit_of(home) < -self._ahead_tokens:
            return self._live[self._passes.index(min(self._passes))]
        return home

    def _search(self, ask: Ask, tried: Sequence[InstanceId]) -> Slot | Unavailable:
        """Pick where the first look finds nothing or does not apply: pins, retries, full pools, none with weight."""
        lanes = self.lanes if ask.precision is None else self._by_precision.get(ask.precision, ())
        usable = [lane for lane in lanes if lane.share > 0 and lane.pool.can_serve(tried)]
        if not usable:
            unweighted = [lane.pool for lane in lanes if lane.pool.can_serve(tried)]
            pools = [pool for pool in unweighted if pool.has_room(tried)]
            if pools:
                return min(pools, key=lambda pool: pool.fill_frac(tried)).pick(ask.position, tried)
            return Unavailable.FULL if unweighted else self._last_means(lanes, tried)
        free = [lane for lane in usable if lane.pool.has_room(tried)]
        if not tried:
            self._bound_credits(usable)
        if not free:
            return Unavailable.FULL
        best = min(free, key=lambda lane: self._passes[lane.at])
        if ask.position is not None and ask.is_session:
            home = _home_among(usable, ask.position)
            if home in free:
                best = home
        return best.pool.pick(ask.position, tried)

    def _last_means(self, lanes: Sequence[Lane], tried: Sequence[InstanceId]) -> Slot | Unavailable:
        slots = [slot for lane in lanes for slot in lane.pool.last_means(tried)]
        free = [slot for slot in slots if slot.in_flight < slot.cap]
        if not free:
            return Unavailable.FULL if slots else Unavailable.NOTHING_USABLE
        return min(free, key=lambda slot: slot.load)

    def _bound_credits(self, lanes: Sequence[Lane]) -> None:
        """Keep pools that are full from gathering more than they may catch up on."""
        bound = CATCH_UP_REQUESTS * self.expected_tokens
        for lane in lanes:
            if not lane.pool.free and (excess := self.credit_of(lane) - bound) > 0:
                self.charge(lane, excess)


def _home_among(lanes: Sequence[Lane], position: int) -> Lane:
    return lanes[pick_weighted(position, [lane.multiplier for lane in lanes], [lane.share for lane in lanes])]
