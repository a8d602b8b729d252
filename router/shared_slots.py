"""The instances' slots where several workers share them: reserved in the shared book, and handed on to who waits. Pure.

Each worker goes by its own view of the fleet, in which the other workers' requests count as of its last look: at every
sweep, and whenever that view says full or proves wrong. Only the book says yes.

Who waits is served approximately by priority and then in the order of waiting: a freed slot goes to the worker whose
first request comes first by that (`router.admission.Ticket.turn_s`, here and in the book for the time since when it
waits), and what that one cannot use goes on to the next. A request that has just come leaves an instance's last slot
to those who wait in other workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from router.fleet import Fleet
from router.slot import Slot


class SlotBook(Protocol):
    """What all workers write their slots in; `router.shared_caps.SharedCaps` is one."""

    def claim(self, instances: Sequence[str]) -> list[int]:
        """Rows of instances."""

    def take(self, row: int, cap: int, *, yields: bool = False) -> bool:
        """Reserve a slot, unless all workers together have `cap`."""

    def give(self, row: int) -> None:
        """Return a slot."""

    def others(self, rows: Iterable[int]) -> list[int]:
        """Slots of the other workers."""

    def wait_since(self, since_s: float) -> None:
        """Tell since when the first request waits; 0 if none does."""

    def anyone_waits(self) -> bool:
        """Whether requests wait, here or elsewhere."""

    def was_full(self, row: int, cap: int) -> bool:
        """Whether others may wait for the slot just returned."""

    def is_first(self) -> bool:
        """Whether nobody has waited longer than this worker's first."""

    def wake_first(self) -> None:
        """Let the worker whose first has waited longest look for slots."""

    def wake_next(self, since_s: float) -> None:
        """Let the one whose turn is after a first that waits since `since_s` look for slots."""


class SharedSlots:
    """One worker's dealings with the book.

    Args:
        fleet: as this worker sees it.
        book: shared by all.
    """

    def __init__(self, fleet: Fleet, book: SlotBook) -> None:
        self._book = book
        self._since_s = 0.0
        self._was_refused = False
        self.follow(fleet)

    def follow(self, fleet: Fleet) -> None:
        """See the instances of another fleet from now on; those with the same address are the same to all workers."""
        self._fleet = fleet
        self._slots = list(fleet.slots.values())
        self._rows = self._book.claim([slot.spec.url for slot in self._slots])
        for slot, row in zip(self._slots, self._rows, strict=True):
            slot.row = row
        self.look()

    def take(self, slot: Slot, *, yields: bool) -> bool:
        """Reserve a slot of an instance that looks free; if it is not, it looks full from now on."""
        if self._book.take(slot.row, slot.max_in_flight, yields=yields):
            return True
        slot.pool.set_others(slot, slot.max_in_flight - slot.in_flight)
        self._was_refused = True
        return False

    def give(self, slot: Slot) -> bool:
        """Return a slot that is no longer counted here; True if somebody may be waiting for it."""
        self._book.give(slot.row)
        return self._book.anyone_waits() and (self._since_s > 0 or self._book.was_full(slot.row, slot.max_in_flight))

    def look(self) -> None:
        """See what the other workers have in flight now."""
        self._was_refused = False
        for slot, others in zip(self._slots, self._book.others(self._rows), strict=True):
            slot.pool.set_others(slot, others)

    def wait_since(self, since_s: float) -> None:
        """Tell since when the first request waits; 0 if none does. If it is the first to wait, turns are begun."""
        if since_s == self._since_s:
            return
        begins = self._since_s == 0
        self._since_s = since_s
        self._book.wait_since(since_s)
        if begins:
            # A slot may have been returned just before anybody could see that one waits for it.
            self._book.wake_first()

    def begin_to_wait(self, turn_s: float) -> None:
        """Note that one more request waits; one that left a slot to others may have it in its turn."""
        if self._since_s == 0 or turn_s < self._since_s:
            self.wait_since(turn_s)
        elif self._was_refused:
            self._book.wake_first()

    def is_first(self) -> bool:
        """Whether a request waits here, and none has waited longer elsewhere."""
        return self._since_s > 0 and self._book.is_first()

    def wake_first(self) -> None:
        """Hand a free slot to the worker that has waited longest."""
        self._book.wake_first()

    def hand_on(self, since_s: float) -> None:
        """Hand what is left after this worker's turn to the next; its first had waited since `since_s`."""
        if any(pool.free for pool in self._fleet.pools.values()):
            self._book.wake_next(since_s)

    @property
    def since_s(self) -> float:
        """Since when the first request waits; 0 if none does."""
        return self._since_s
