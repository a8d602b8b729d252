"""The instances as one worker sees them: slots, caps, load and usability. Pure, mutable, and cheap to read.

A pool keeps the list of instances to choose from and how many of them have a free slot, both renewed only when
something changes, so that choosing never looks at a whole fleet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router.affinity import hash_node
from router.contract import InstanceId, PoolId, Precision
from router.exchange import InstanceSpec, Outcome
from router.health import Health, HealthState
from router.settings import HealthSettings


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


def share_of(cap: int, *, workers: int, worker: int, ordinal: int) -> int:
    """Part of an instance's cap that one worker may use.

    The parts add up to the cap. Which workers get the odd ones turns with the instance's `ordinal`, and no worker is
    left without a slot of an open instance: a cap below the number of workers is exceeded rather than starving those
    connections that happen to be theirs.
    """
    if cap <= 0:
        return 0
    part = cap // workers + ((worker + ordinal) % workers < cap % workers)
    return max(1, part)


class Slot:
    """One instance.

    Attributes:
        cap: this worker's part of the in-flight cap; 0 closes the instance.
        max_in_flight: the whole cap, over all workers.
        in_flight: requests of this worker on it.
        foreign: requests on it that are not this worker's, as of the last probe.
        ready: whether it is among the pool's instances to choose from.
        picked: serial of the last pick, so that equals take turns.
    """

    __slots__ = (
        "cap",
        "draining",
        "foreign",
        "health",
        "in_flight",
        "kv_cache_usage_frac",
        "load_at_s",
        "max_in_flight",
        "multiplier",
        "ordinal",
        "picked",
        "pool",
        "proven",
        "ready",
        "sleeping",
        "spec",
        "withheld",
    )

    def __init__(self, spec: InstanceSpec, pool: Pool, health: Health, ordinal: int) -> None:
        self.spec = spec
        self.pool = pool
        self.health = health
        self.ordinal = ordinal
        self.multiplier = hash_node(spec.instance_id)
        self.max_in_flight = 0
        self.cap = 0
        self.in_flight = 0
        self.foreign = 0
        self.kv_cache_usage_frac = 0.0
        self.load_at_s = 0.0
        self.sleeping = False
        self.draining = False
        self.proven = False
        self.withheld = False
        self.ready = False
        self.picked = 0

    @property
    def is_open(self) -> bool:
        """Whether it may get requests at all, health aside."""
        return self.cap > 0 and not self.draining and not self.sleeping and not self.withheld

    @property
    def state(self) -> str:
        """For people and the controller: ``up``, ``suspect``, ``ejected`` or ``asleep``."""
        if self.health.state is not HealthState.EJECTED and self.sleeping:
            return "asleep"
        return self.health.state.value


class Pool:
    """The instances of one pool.

    Attributes:
        ready: open instances to choose from: those that are up, or the suspect ones while none is up.
        free: how many of these have a free slot.
    """

    __slots__ = ("free", "multiplier", "pool_id", "precision", "ready", "slots", "static_weight")

    def __init__(self, pool_id: PoolId, precision: Precision, static_weight: float) -> None:
        self.pool_id = pool_id
        self.precision = precision
        self.static_weight = static_weight
        self.multiplier = hash_node(pool_id)
        self.slots: list[Slot] = []
        self.ready: list[Slot] = []
        self.free = 0

    def refresh(self) -> None:
        """Renew `ready` and `free` after a change of health, cap, draining or sleep."""
        self.ready = _usable(self.slots)
        for slot in self.slots:
            slot.ready = False
        for slot in self.ready:
            slot.ready = True
        self.free = sum(slot.in_flight < slot.cap for slot in self.ready)

    def untried(self, tried: Sequence[InstanceId]) -> list[Slot]:
        """Instances to choose from, leaving some out."""
        if not tried:
            return self.ready
        return _usable([slot for slot in self.slots if slot.spec.instance_id not in tried])


def _usable(slots: list[Slot]) -> list[Slot]:
    opened = [slot for slot in slots if slot.is_open and slot.health.state is not HealthState.EJECTED]
    return [slot for slot in opened if slot.health.state is HealthState.UP] or opened


class Fleet:
    """All pools of one worker.

    Args:
        specs: every instance, in the order of the configuration.
        static_weights: weight of each pool while no allocation is at hand.
        health: thresholds of the instances' states.
        workers: workers that share the caps.
        worker: number of this one.
    """

    def __init__(
        self,
        specs: Sequence[InstanceSpec],
        static_weights: dict[PoolId, float],
        *,
        health: HealthSettings,
        workers: int,
        worker: int,
    ) -> None:
        self._stale_s = health.metrics_stale_s
        self._workers = workers
        self._worker = worker
        self._any_awake = False
        self.pools: dict[PoolId, Pool] = {}
        self.slots: dict[InstanceId, Slot] = {}
        for ordinal, spec in enumerate(specs):
            pool = self.pools.get(spec.pool_id)
            if pool is None:
                pool = Pool(spec.pool_id, spec.precision, static_weights[spec.pool_id])
                self.pools[spec.pool_id] = pool
            slot = Slot(spec, pool, Health(health), ordinal)
            pool.slots.append(slot)
            self.slots[spec.instance_id] = slot
        self.constrain({}, frozenset())

    def constrain(self, caps: dict[InstanceId, int], draining: frozenset[InstanceId]) -> None:
        """Set the caps and the draining instances of a table; those it does not name go by the settings."""
        for slot in self.slots.values():
            slot.max_in_flight = caps.get(slot.spec.instance_id, slot.spec.max_in_flight)
            slot.cap = share_of(slot.max_in_flight, workers=self._workers, worker=self._worker, ordinal=slot.ordinal)
            slot.draining = slot.spec.instance_id in draining
        for pool in self.pools.values():
            pool.refresh()

    def take(self, slot: Slot, serial: int) -> None:
        """Reserve a slot."""
        slot.in_flight += 1
        slot.picked = serial
        if slot.ready and slot.in_flight == slot.cap:
            slot.pool.free -= 1

    def give(self, slot: Slot, outcome: Outcome) -> None:
        """Return a slot and learn from how the attempt ended."""
        if slot.ready and slot.in_flight == slot.cap:
            slot.pool.free += 1
        slot.in_flight -= 1
        if slot.health.request_ended(outcome):
            slot.pool.refresh()

    def probed(self, slot: Slot, *, ok: bool, load: EngineLoad | None, now_s: float) -> None:
        """Learn from a probe; load figures older than allowed are forgotten."""
        changed = slot.health.probed(ok)
        sleeping = slot.sleeping
        if load is not None:
            slot.foreign = max(0, load.running + load.waiting - slot.in_flight)
            slot.kv_cache_usage_frac = load.kv_cache_usage_frac
            slot.sleeping = load.awake is False
            slot.load_at_s = now_s
        elif now_s - slot.load_at_s > self._stale_s:
            slot.foreign = 0
            slot.kv_cache_usage_frac = 0.0
            slot.sleeping = False
        if changed or sleeping is not slot.sleeping:
            slot.pool.refresh()
        if load is not None and not slot.proven:
            self._prove(slot, is_awake=not slot.sleeping)

    def _prove(self, slot: Slot, *, is_awake: bool) -> None:
        """Note an instance's first report; once one is known to be awake, those that gave none are withheld.

        An engine that sleeps takes requests and leaves them waiting, so one of which nothing is known yet is no choice
        while another is known to be awake.
        """
        slot.proven = True
        slot.withheld = False
        if is_awake and not self._any_awake:
            self._any_awake = True
            for other in self.slots.values():
                other.withheld = not other.proven
            for pool in self.pools.values():
                pool.refresh()
        else:
            slot.pool.refresh()
