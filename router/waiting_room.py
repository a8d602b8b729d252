"""Gives slots to those who wait, as they become free: by priority, then longest waiting first. Pure.

That holds here and in the other workers. Where these share the instances' slots (see `shared_slots`), a slot that this
worker frees may be another's to take.
"""

from __future__ import annotations

from collections.abc import Callable

from router.admission import Grant, Ticket
from router.contract import InstanceId
from router.exchange import Ask, Choice
from router.parts import Parts
from router.policy import ClassPolicy, Unavailable
from router.shared_slots import SharedSlots
from router.slot import Slot


class WaitingRoom:
    """Those who wait, and those who free slots.

    Args:
        parts: the queues, and who picks for each class.
        shared: where several workers share the slots, else None.
        reserve: counts a slot that has been found for a request.
    """

    def __init__(
        self, parts: Parts, shared: SharedSlots | None, reserve: Callable[[Ask, ClassPolicy, Slot], Choice]
    ) -> None:
        self._shared = shared
        self._reserve = reserve
        # Of the last call that told the time; those that do not tell it are served by this.
        self._now_s = 0.0
        self._is_serving = False
        self.follow(parts)

    def follow(self, parts: Parts) -> None:
        """Go by other parts from now on, which may have slots for those who wait."""
        self._admission = parts.admission
        self._policies = parts.policies
        self.serve(self._now_s)

    def join(self, ask: Ask, now_s: float, grant: Grant, tried: tuple[InstanceId, ...]) -> Ticket | None:
        """Wait for a slot of an instance that is not in `tried`; None if the queue is full."""
        ticket = self._admission.push(ask, now_s, grant, tried)
        if ticket is not None:
            if ask.charge is not None:
                ask.charge.hold()
            if self._shared is not None:
                self._shared.begin_to_wait(ticket.turn_s)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Wait no more; harmless for one that does not."""
        if self._admission.remove(ticket):
            _let_go(ticket)

    def late(self, now_s: float) -> list[Ticket]:
        """Those who have waited too long; they wait no more. Call it several times a second."""
        self._now_s = now_s
        late = self._admission.expired(now_s)
        for ticket in late:
            _let_go(ticket)
        return late

    def serve(self, now_s: float) -> None:
        """Grant free slots to those who wait here, until no line's head can be served.

        A grant may call back and free or take slots; the outer call then goes on, the inner one returns at once.
        """
        self._now_s = now_s
        if self._is_serving:
            return
        self._is_serving = True
        try:
            while self._admission.waiting and self._grant_one():
                pass
        finally:
            self._is_serving = False
            if self._shared is not None:
                self._shared.wait_since(self._admission.turn_s())

    def take(
        self, ask: Ask, policy: ClassPolicy, found: Slot | Unavailable, tried: tuple[InstanceId, ...]
    ) -> Slot | Unavailable:
        """Take a slot that all workers agree on, or find that there is none, after one look at what they hold."""
        shared, has_looked = self._shared, False
        while shared is not None:
            if type(found) is Slot and shared.take(found, yields=True):
                return found
            if found is Unavailable.NOTHING_USABLE or (found is Unavailable.FULL and has_looked):
                return found
            if not has_looked:
                shared.look()
                has_looked = True
            found = policy.pick(ask, tried)
        return found

    def give_back(self, slot: Slot, now_s: float) -> None:
        """Return a slot that workers share, and let whoever has waited longest have it."""
        self._now_s = now_s
        shared = self._shared
        if shared is not None and shared.give(slot):
            if shared.is_first():
                self._take_turn(shared)
            else:
                shared.wake_first()

    def woken(self) -> None:
        """Look for free slots: another worker says that there may be one."""
        if self._shared is not None:
            self._shared.look()
            self._take_turn(self._shared)

    def _take_turn(self, shared: SharedSlots) -> None:
        """Serve those who wait here, and leave what they cannot use to the next worker in turn."""
        since_s = shared.since_s
        self.serve(self._now_s)
        shared.hand_on(since_s)

    def _grant_one(self) -> bool:
        for ticket in self._admission.heads():
            policy = self._policies[ticket.ask.class_id]
            found = policy.pick(ticket.ask, ticket.tried)
            if self._shared is not None:
                while type(found) is Slot and not self._shared.take(found, yields=False):
                    found = policy.pick(ticket.ask, ticket.tried)
            if type(found) is Slot:
                self._admission.give_place(ticket)
                choice = self._reserve(ticket.ask, policy, found)
                tally = policy.lane_of[found.pool.number].tally
                tally.traffic.queue_wait.observe(max(0.0, self._now_s - ticket.since_s))
                _let_go(ticket)
                ticket.grant(choice)
                return True
        return False


def _let_go(ticket: Ticket) -> None:
    """Whoever waited holds its tenant's charge no more for that."""
    if ticket.ask.charge is not None:
        ticket.ask.charge.drop(0.0)
