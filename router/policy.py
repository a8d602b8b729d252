"""Filter, score, pick: the pool by its share of the tokens, the instance by its load. Pure.

**Pool.** Each class keeps a credit per pool, in output tokens. A request of c expected tokens gives every pool that
can serve c * w_i / sum(w) and takes c from the pool that gets it: the one with most credit. When the answer's true
length is known the difference is settled the same way. Credits always add up to nothing, so a pool's credit is
exactly what it was promised and has not served, and the share served follows the weights with an error of a few
requests however long they are (smooth weighted round robin with lengths; deficit round robin of Shreedhar and
Varghese 1995). A pool that cannot serve gathers no credit, and a change of weights only changes what is promised from
then on: neither is followed by a burst.

**Instance.** Least load: own requests in flight, plus those of others as of the last probe, then KV cache usage,
then turns. Requests of a session keep to an instance within the bounds of `affinity`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from router.affinity import hash_key, pick_bounded, pick_weighted
from router.contract import InstanceId
from router.exchange import Ask
from router.fleet import Pool, Slot

CATCH_UP_REQUESTS = 64.0
"""Requests' worth of credit after which a pool that is full gathers no more."""
_LENGTH_GAIN = 0.02


class Unavailable(Enum):
    """Why no instance was picked."""

    FULL = "full"
    """Instances can serve, all of them are at their caps."""
    NOTHING_USABLE = "nothing_usable"
    """No instance can serve."""


class ClassPolicy:
    """Picks for the requests of one class.

    Args:
        pools: the pools whose precision the class allows, in the order of the configuration.
        expected_tokens: output tokens of a request before any answer has ended.

    Attributes:
        expected_tokens: moving mean of the output tokens of answered requests.
        weights: share of each pool, adding up to one; all zero while the allocation names none of them.
    """

    def __init__(self, pools: Sequence[Pool], expected_tokens: float) -> None:
        self.pools = tuple(pools)
        self.expected_tokens = expected_tokens
        self.weights = [0.0] * len(self.pools)
        self._credits = [0.0] * len(self.pools)
        self._weighted: tuple[int, ...] = ()
        self._index = {pool.pool_id: index for index, pool in enumerate(self.pools)}

    def set_weights(self, weights: Sequence[float]) -> None:
        """Follow other weights from now on; what a pool that keeps a weight was still owed stays, nothing is added."""
        total = sum(weights)
        shares = [weight / total if total > 0 else 0.0 for weight in weights]
        if shares == self.weights:
            return
        kept = [credit if share > 0 else 0.0 for credit, share in zip(self._credits, shares, strict=True)]
        excess = sum(kept)
        self.weights = shares
        self._credits = [credit - excess * share for credit, share in zip(kept, shares, strict=True)]
        self._weighted = tuple(index for index, share in enumerate(shares) if share > 0)

    def pick(self, ask: Ask, tried: Sequence[InstanceId] = ()) -> Slot | Unavailable:
        """The instance for a request, without reserving it.

        Pools without weight get a request only when none with weight has an instance that can serve, and a pool that
        is merely full is waited for: availability comes before the allocation, speed does not.
        """
        key = None if ask.session_key is None else hash_key(ask.session_key)
        if not tried and ask.precision is None:
            pool = self._neediest(ask.expected_tokens) if key is None else self._home(key)
            if pool is not None and pool.free:
                return _instance_in(pool.ready, key)
        usable = self._usable(self._weighted, ask, tried) or self._usable(range(len(self.pools)), ask, tried)
        if not usable:
            return Unavailable.NOTHING_USABLE
        free = {index: slots for index, slots in usable.items() if any(slot.in_flight < slot.cap for slot in slots)}
        if not free:
            return Unavailable.FULL
        return _instance_in(free[self._pool_of(ask, usable, free, key)], key)

    def has_weight(self, pool: Pool) -> bool:
        """Whether the allocation gives a pool any of this class."""
        return self.weights[self._index[pool.pool_id]] > 0

    def charge(self, pool: Pool, tokens: float) -> float:
        """Count tokens as served by a pool, more or (negative) fewer; gives what was counted: 0 without weight."""
        chosen = self._index[pool.pool_id]
        weights, credit = self.weights, self._credits
        if weights[chosen] <= 0:
            return 0.0
        bound = CATCH_UP_REQUESTS * self.expected_tokens
        sharers = [
            index
            for index in self._weighted
            if self.pools[index].free or index == chosen or (self.pools[index].ready and credit[index] < bound)
        ]
        per_weight = tokens / sum([weights[index] for index in sharers])
        for index in sharers:
            credit[index] += weights[index] * per_weight
        credit[chosen] -= tokens
        return tokens

    def settle(self, pool: Pool, *, charged_tokens: float, output_tokens: float) -> None:
        """Correct what was charged in advance, once the answer's length is known."""
        self.charge(pool, output_tokens - charged_tokens)

    def learn_length(self, output_tokens: float) -> None:
        """Move the expected length towards that of an answer."""
        self.expected_tokens += _LENGTH_GAIN * (output_tokens - self.expected_tokens)

    def _neediest(self, tokens: float) -> Pool | None:
        best, best_credit = None, 0.0
        for index in self._weighted:
            pool = self.pools[index]
            if pool.free:
                credit = self._credits[index] + tokens * self.weights[index]
                if best is None or credit > best_credit:
                    best, best_credit = pool, credit
        return best

    def _usable(self, indices: Sequence[int], ask: Ask, tried: Sequence[InstanceId]) -> dict[int, list[Slot]]:
        """Instances that can serve the request, at their caps or not, by pool."""
        found = {}
        for index in indices:
            pool = self.pools[index]
            if ask.precision is None or pool.precision is ask.precision:
                slots = pool.untried(tried)
                if slots:
                    found[index] = slots
        return found

    def _home(self, key: int) -> Pool | None:
        """The pool a session belongs to, among those with weight that can serve."""
        indices = [index for index in self._weighted if self.pools[index].ready]
        return self.pools[indices[self._home_of(key, indices)]] if indices else None

    def _home_of(self, key: int, indices: Sequence[int]) -> int:
        weights = [self.weights[index] for index in indices]
        return pick_weighted(key, [self.pools[index].multiplier for index in indices], weights)

    def _pool_of(self, ask: Ask, usable: dict[int, list[Slot]], free: dict[int, list[Slot]], key: int | None) -> int:
        """A session's own pool if it has a free slot; else the one owed most, or the least full if none is owed."""
        if not any(self.weights[index] for index in free):
            return min(free, key=lambda index: _fill_frac(free[index]))
        if key is not None:
            indices = list(usable)
            home = indices[self._home_of(key, indices)]
            if home in free:
                return home
        return max(free, key=lambda index: self._credits[index] + ask.expected_tokens * self.weights[index])


def _instance_in(slots: Sequence[Slot], key: int | None) -> Slot:
    """The instance for a request, among instances of which at least one has a free slot."""
    if key is None:
        return _least_loaded(slots)
    free = [slot for slot in slots if slot.in_flight < slot.cap]
    return free[pick_bounded(key, [slot.multiplier for slot in free], [slot.in_flight for slot in free])]


def _fill_frac(slots: Sequence[Slot]) -> float:
    return sum(slot.in_flight for slot in slots) / sum(slot.cap for slot in slots)


def _least_loaded(slots: Sequence[Slot]) -> Slot:
    """The free instance with the least load."""
    best, best_load = slots[0], -1
    for slot in slots:
        if slot.in_flight < slot.cap:
            load = slot.in_flight + slot.foreign
            if best_load < 0 or load < best_load or (load == best_load and _before(slot, best)):
                best, best_load = slot, load
    return best


def _before(slot: Slot, other: Slot) -> bool:
    if slot.kv_cache_usage_frac != other.kv_cache_usage_frac:
        return slot.kv_cache_usage_frac < other.kv_cache_usage_frac
    return slot.picked < other.picked
