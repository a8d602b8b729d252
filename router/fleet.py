"""The instances as one worker sees them: caps, load and usability of each. Pure, mutable, and cheap to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.contract import InstanceId, PoolId, Precision
from router.exchange import InstanceSpec, Outcome
from router.health import FAILURES, Health
from router.pool import Pool
from router.settings import HealthSettings
from router.share import shared_cap
from router.slot import Slot

__all__ = ["EngineLoad", "Fleet", "InstanceSpec", "extra_load"]

ROOMY_FRAC = 0.5
"""KV cache usage up to which an instance's load is the number of its requests."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine says of itself, summed over its data-parallel ranks.

    Attributes:
        running, waiting: requests in its batch and in its queue.
        kv_cache_usage_frac: mean share of KV blocks used.
        awake: False while it sleeps; it then answers /health but no request. None if it does not say.
    """

    running: int
    waiting: int
    kv_cache_usage_frac: float
    awake: bool | None = None


def extra_load(load: EngineLoad, in_flight: int) -> int:
    """What an engine's own report adds to the `in_flight` requests that are known of, in requests.

    Requests of others count as such. Usage of the KV cache beyond `ROOMY_FRAC` adds that share of all its requests:
    they are longer ones, whose steps take longer and for whose followers there is less room.
    """
    total = load.running + load.waiting
    pressure = total * max(0.0, load.kv_cache_usage_frac - ROOMY_FRAC)
    return max(0, total - in_flight) + round(pressure)


class Fleet:
    """All pools of one worker.

    Args:
        specs: every instance, in the order of the configuration.
        static_weights: weight of each pool while no allocation is at hand.
        health: thresholds of the instances' states.
        pools: all pools in the order of the configuration, those without an instance, too; else those of `specs`.

    Attributes:
        changes: how often the pools' ready instances were found anew.
        leaving: engines that are no longer configured, of which some may have requests in flight yet.
        share: of all caps, above 0 and at most 1.
    """

    def __init__(
        self,
        specs: Sequence[InstanceSpec],
        static_weights: dict[PoolId, float],
        *,
        health: HealthSettings,
        pools: Sequence[tuple[PoolId, Precision]] = (),
    ) -> None:
        self._stale_s = health.metrics_stale_s
        self._any_awake = False
        self.share = 1.0
        self.changes = 0
        self.leaving: list[Slot] = []
        self._doubted: set[InstanceId] = set()
        self.pools: dict[PoolId, Pool] = {}
        self.slots: dict[InstanceId, Slot] = {}
        for pool_id, precision in (*pools, *((spec.pool_id, spec.precision) for spec in specs)):
            if pool_id not in self.pools:
                weight = static_weights[pool_id]
                self.pools[pool_id] = Pool(pool_id, precision, number=len(self.pools), static_weight=weight)
        for ordinal, spec in enumerate(specs):
            pool = self.pools[spec.pool_id]
            slot = Slot(spec, pool, Health(health), ordinal)
            pool.slots.append(slot)
            self.slots[spec.instance_id] = slot
        self.constrain({}, frozenset())

    def constrain(self, caps: dict[InstanceId, int], draining: frozenset[InstanceId]) -> None:
        """Set the caps and the draining instances of a table; those it does not name go by the settings."""
        self._caps, self._draining = caps, draining
        for slot in self.slots.values():
            cap = caps.get(slot.spec.instance_id, slot.spec.max_in_flight)
            slot.max_in_flight = shared_cap(cap, self.share)
            slot.cap = max(0, slot.max_in_flight - slot.others)
            slot.draining = slot.spec.instance_id in draining
        self._refresh(*self.pools.values())

    def take_share(self, share: float) -> None:
        """Go by this share of all caps, of which other routers have the rest."""
        if share != self.share:
            self.share = share
            self.constrain(self._caps, self._draining)

    def adopt(self, old: Fleet) -> dict[Slot, Slot]:
        """Take over what is known of engines that stay under other settings, and the requests on them.

        An engine is recognised by its address, also one that left before and has requests yet; where both it and the
        new one were given names, these have to be the same: the addresses of pods that end are used again. The caps of
        a table are to be set again by `constrain`.

        Returns:
            The new instance by the old one, for those that stay.
        """
        self.share = old.share
        every = [*old.leaving, *old.slots.values()]
        before = {slot.spec.url: slot for slot in every}
        stayed: dict[Slot, Slot] = {}
        for slot in self.slots.values():
            known = before.get(slot.spec.url)
            if known is not None and slot.spec.may_be(known.spec):
                slot.adopt(known)
                stayed[known] = slot
        self.leaving = [slot for slot in every if slot.in_flight and slot not in stayed]
        # Of a fleet that was wholly replaced nothing is known, and nothing may be withheld.
        self._any_awake = any(slot.proven and not slot.sleeping for slot in self.slots.values())
        for slot in self.slots.values():
            slot.withheld = self._any_awake and not slot.proven
        self._refresh(*self.pools.values())
        return stayed

    def ended(self, slot: Slot, outcome: Outcome) -> None:
        """Learn from how an attempt ended; one that ended well tells nothing new of an instance that `is_well`."""
        if outcome in FAILURES:
            self._doubted.add(slot.spec.instance_id)
        if slot.health.request_ended(outcome):
            self._refresh(slot.pool)

    def take_doubted(self) -> set[InstanceId]:
        """Instances at which requests have failed since the last call."""
        doubted, self._doubted = self._doubted, set()
        return doubted

    def probed(self, slot: Slot, *, ok: bool | None, load: EngineLoad | None, now_s: float) -> None:
        """Learn from a probe, or, where `ok` is None, of the load alone; figures older than allowed are forgotten."""
        changed = ok is not None and slot.health.probed(ok)
        if ok:
            slot.probed_at_s = now_s
        if load is None:
            self._forget_old_load(slot, now_s)
        sleeping, extra = slot.sleeping, slot.extra
        if load is not None:
            extra = slot.others + extra_load(load, slot.in_flight + slot.others)
            slot.sleeping = load.awake is False
            slot.load_at_s = now_s
        slot.pool.set_extra(slot, extra)
        if changed or sleeping is not slot.sleeping:
            self._refresh(slot.pool)
        slot.asked = True
        if slot.proven:
            return
        if load is not None:
            self._prove(slot, is_awake=not slot.sleeping)
        elif self._any_awake and not slot.withheld:
            slot.withheld = True
            self._refresh(slot.pool)

    def has_ready(self) -> bool:
        """Whether any instance could take a request now, caps aside."""
        return any(pool.ready or pool.last_means() for pool in self.pools.values())

    def forget_old_loads(self, now_s: float) -> None:
        """Forget load figures older than allowed, for a worker that hears of no probes any more."""
        for slot in self.slots.values():
            self._forget_old_load(slot, now_s)

    def _forget_old_load(self, slot: Slot, now_s: float) -> None:
        if now_s - slot.load_at_s > self._stale_s:
            slot.pool.set_extra(slot, slot.others)
            if slot.sleeping:
                slot.sleeping = False
                self._refresh(slot.pool)

    def _prove(self, slot: Slot, *, is_awake: bool) -> None:
        """Note an instance's first report; once one is known to be awake, those asked in vain are withheld.

        An engine that sleeps takes requests and leaves them waiting, so one that does not tell is no choice while
        another is known to be awake. One that is still being asked for the first time is: the pool that answers its
        first probe soonest would else get every request until the others have answered theirs.
        """
        slot.proven = True
        slot.withheld = False
        if is_awake and not self._any_awake:
            self._any_awake = True
            for other in self.slots.values():
                other.withheld = other.asked and not other.proven
            self._refresh(*self.pools.values())
        else:
            self._refresh(slot.pool)

    def _refresh(self, *pools: Pool) -> None:
        for pool in pools:
            pool.refresh()
        self.changes += 1
