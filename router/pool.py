"""One pool's instances, and which of them is the emptiest, found without looking at the others. Pure.

The instances with a free slot stand in circles, one for each load. A request that begins or ends moves its instance by
one circle, and the emptiest one is the first of the circle with the lowest load: neither costs more with more
instances. Who enters a circle goes to its end, so that equals take turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from router.affinity import LOAD_FACTOR, WALK, Ring
from router.contract import InstanceId, PoolId, Precision
from router.health import HealthState
from router.slot import Slot


class Pool:
    """The instances of one pool.

    Attributes:
        number: position in the configuration, from 0.
        slots: all of them.
        ready: open instances to choose from: those that are up, or the suspect ones while none is up.
        free: how many of these are below their caps.
        load: sum of the loads of those below their caps.
    """

    __slots__ = (
        "_firsts",
        "_full_ring",
        "_lowest",
        "_ring",
        "free",
        "load",
        "number",
        "pool_id",
        "precision",
        "ready",
        "slots",
        "static_weight",
    )

    def __init__(self, pool_id: PoolId, precision: Precision, *, number: int, static_weight: float) -> None:
        self.pool_id = pool_id
        self.precision = precision
        self.number = number
        self.static_weight = static_weight
        self.slots: list[Slot] = []
        self.ready: list[Slot] = []
        self.free = 0
        self.load = 0
        self._firsts: dict[int, Slot] = {}
        self._lowest = 0
        self._full_ring: Ring[Slot] | None = None
        self._ring: Ring[Slot] | None = None

    def refresh(self) -> None:
        """Find anew which instances are ready and free, after a change of health, cap, draining or sleep."""
        self.ready = _usable(self.slots)
        self.free = self.load = 0
        self._firsts.clear()
        self._ring = None
        for slot in self.slots:
            slot.ready = slot.free = False
        for slot in self.ready:
            slot.ready = True
            if slot.in_flight < slot.cap:
                self._enter(slot)

    def count(self, slot: Slot, change: int) -> None:
        """Count one request more (1) or less (-1) on an instance of this pool."""
        load = slot.load
        slot.load = to = load + change
        slot.in_flight = in_flight = slot.in_flight + change
        if not slot.free:
            if slot.ready and in_flight < slot.cap:
                self._enter(slot)
            return
        if in_flight >= slot.cap:
            self._leave(slot, load)
            return
        self.load += change
        # As `_leave` and `_enter`, in fewer steps, as this happens twice a request.
        firsts = self._firsts
        after = slot.after
        if after is slot:
            del firsts[load]
            if to < self._lowest or load == self._lowest:
                self._lowest = to
        else:
            before = slot.before
            before.after = after
            after.before = before
            if firsts[load] is slot:
                firsts[load] = after
            if to < self._lowest:
                self._lowest = to
        first = firsts.get(to)
        if first is None:
            firsts[to] = slot.after = slot.before = slot
        else:
            last = first.before
            last.after = first.before = slot
            slot.before = last
            slot.after = first

    def set_extra(self, slot: Slot, extra: int) -> None:
        """Take note of an instance's load that is not this worker's."""
        if extra == slot.extra:
            return
        if slot.free:
            self._leave(slot, slot.load)
        slot.extra = extra
        slot.load = slot.in_flight + extra
        if slot.ready and slot.in_flight < slot.cap:
            self._enter(slot)

    def set_others(self, slot: Slot, others: int) -> None:
        """Take note of the other workers' requests on an instance, which count against its cap and as its load."""
        change = others - slot.others
        cap = max(0, slot.max_in_flight - others)
        if change == 0 and cap == slot.cap:
            return
        if slot.free:
            self._leave(slot, slot.load)
        slot.others = others
        slot.cap = cap
        slot.extra += change
        slot.load += change
        if slot.ready and slot.in_flight < cap:
            self._enter(slot)

    def emptiest(self) -> Slot:
        """The free instance with the least load; there must be one."""
        return self._firsts[self._lowest]

    def near(self, position: int) -> Slot:
        """The free instance that a key at `position` belongs to, unless its load is above the bound; there must be one.

        With the request to be placed an instance has at most `LOAD_FACTOR` times the mean of the free ones, rounded
        up. Consistent hashing with bounded loads: Mirrokni, Thorup and Zadimoghaddam 2016.
        """
        ring = self._ring
        if ring is None:
            ring = self._make_ring()
        bound = LOAD_FACTOR * (self.load + 1) / self.free
        at = ring.index(position)
        nodes = ring.nodes
        slot = nodes[at]
        if slot.free and slot.load < bound:
            return slot
        for slot in nodes[at + 1 : at + WALK]:
            if slot.free and slot.load < bound:
                return slot
        return self.emptiest()

    def can_serve(self, tried: Sequence[InstanceId] = ()) -> bool:
        """Whether there are instances to choose from, apart from those in `tried`."""
        return bool(self._untried(tried) if tried else self.ready)

    def last_means(self, tried: Sequence[InstanceId] = ()) -> list[Slot]:
        """Ejected instances that have answered their last probe, apart from those in `tried`."""
        return [slot for slot in self.slots if slot.is_last_means and slot.spec.instance_id not in tried]

    def has_room(self, tried: Sequence[InstanceId] = ()) -> bool:
        """Whether one of these is free."""
        return any(slot.in_flight < slot.cap for slot in self._untried(tried)) if tried else self.free > 0

    def pick(self, position: int | None, tried: Sequence[InstanceId] = ()) -> Slot:
        """The free instance for a request, apart from those in `tried`; there must be one."""
        if tried:
            return min((slot for slot in self._untried(tried) if slot.in_flight < slot.cap), key=lambda slot: slot.load)
        return self.emptiest() if position is None else self.near(position)

    def fill_frac(self, tried: Sequence[InstanceId] = ()) -> float:
        """Share of the slots taken of the instances to choose from, apart from those in `tried`."""
        slots = self._untried(tried) if tried else self.ready
        return sum(slot.in_flight for slot in slots) / sum(slot.cap for slot in slots)

    def _untried(self, tried: Sequence[InstanceId]) -> list[Slot]:
        return _usable([slot for slot in self.slots if slot.spec.instance_id not in tried])

    def _make_ring(self) -> Ring[Slot]:
        if self._full_ring is None:
            self._full_ring = Ring.of({slot.spec.instance_id: slot for slot in self.slots})
        self._ring = ring = self._full_ring.only(self.ready)
        return ring

    def _enter(self, slot: Slot) -> None:
        """Put a slot at the end of the circle of its load."""
        load = slot.load
        if not self._firsts or load < self._lowest:
            self._lowest = load
        first = self._firsts.setdefault(load, slot)
        last = slot if first is slot else first.before
        last.after = first.before = slot
        slot.before = last
        slot.after = first
        slot.free = True
        self.free += 1
        self.load += load

    def _leave(self, slot: Slot, load: int) -> None:
        """Take a slot out of its circle, in which it stands for its former `load`."""
        if slot.after is slot:
            del self._firsts[load]
            if load == self._lowest and self._firsts:
                self._lowest = min(self._firsts)
        else:
            slot.before.after = slot.after
            slot.after.before = slot.before
            if self._firsts[load] is slot:
                self._firsts[load] = slot.after
        slot.free = False
        self.free -= 1
        self.load -= load


def _usable(slots: list[Slot]) -> list[Slot]:
    opened = [slot for slot in slots if slot.is_open and slot.health.state is not HealthState.EJECTED]
    return [slot for slot in opened if slot.health.state is HealthState.UP] or opened
