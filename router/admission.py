"""Requests that wait for a slot: bounded queues, by priority and then in order of arrival. Pure.

A class has one line for each precision pinned and for each set of instances that failed the request before, and one
for requests that may go anywhere, so that a request waiting for a full pool does not hold up those that may go
elsewhere. The bounds hold for the class as a whole. A class of lower priority is served when none of a higher one can
use the slot; how long it may wait is bounded like any other's, and it is then told to come again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from router.contract import ClassId, InstanceId, Precision
from router.exchange import Ask, Choice, Refusal
from router.settings import MOST_PRIORITY, ClassSettings
from router.turnover import Turnover, retry_after_s

Grant = Callable[[Choice | Refusal], None]
_PRIORITY_S = 1e6
"""A step of priority counts as so much longer a wait: more than any wait lasts."""
_Line = tuple[ClassId, Precision | None, tuple[InstanceId, ...]]


class Ticket:
    """A place in a queue.

    Attributes:
        tried: instances that are no choice, as they have failed the request.
        serial: order of arrival.
        turn_s: the smaller, the sooner it is its turn: when it came, sooner by far for a higher priority. Above 0.
        since_s: when it came.
        expires_at_s: when it is refused.
    """

    __slots__ = ("ask", "expires_at_s", "grant", "serial", "since_s", "tried", "turn_s")

    def __init__(
        self,
        ask: Ask,
        grant: Grant,
        tried: tuple[InstanceId, ...],
        *,
        serial: int,
        since_s: float,
        settings: ClassSettings,
    ) -> None:
        self.ask = ask
        self.grant = grant
        self.tried = tried
        self.serial = serial
        self.since_s = since_s
        self.turn_s = since_s + (MOST_PRIORITY - settings.priority) * _PRIORITY_S
        self.expires_at_s = since_s + settings.max_wait_s


class Admission:
    """The queues of all classes of one worker.

    Attributes:
        waiting: tickets in all queues.
    """

    def __init__(self, classes: Iterable[ClassSettings]) -> None:
        self._settings = {ClassId(cls.name): cls for cls in classes}
        self._queued = dict.fromkeys(self._settings, 0)
        self._bytes = dict.fromkeys(self._settings, 0)
        self._turnovers = {name: Turnover() for name in self._settings}
        self._lines: dict[_Line, OrderedDict[int, Ticket]] = {}
        self._serial = 0
        self.waiting = 0

    def adopt(self, old: Admission) -> None:
        """Take over those who wait, each with its place and its time; none is sent away for a bound that shrank."""
        self._serial = old._serial
        self._lines = old._lines
        self._queued.update(old._queued)
        self._bytes.update(old._bytes)
        self._turnovers.update((name, known) for name, known in old._turnovers.items() if name in self._settings)
        self.waiting = old.waiting

    def queued(self, class_id: ClassId) -> int:
        """Tickets of one class."""
        return self._queued[class_id]

    def queued_bytes(self, class_id: ClassId) -> int:
        """Bytes of the bodies of one class's tickets."""
        return self._bytes[class_id]

    def push(self, ask: Ask, now_s: float, grant: Grant, tried: tuple[InstanceId, ...] = ()) -> Ticket | None:
        """Join the queue's end; None if the class's queue has too many requests, or would hold too many bytes."""
        class_id = ask.class_id
        settings = self._settings[class_id]
        size = self._bytes[class_id] + ask.facts.body_bytes
        if self._queued[class_id] >= settings.max_queued or size > settings.max_queued_bytes:
            return None
        self._serial += 1
        ticket = Ticket(ask, grant, tried, serial=self._serial, since_s=now_s, settings=settings)
        self._lines.setdefault(_line_of(ticket), OrderedDict())[ticket.serial] = ticket
        self._queued[class_id] += 1
        self._bytes[class_id] = size
        self.waiting += 1
        return ticket

    def remove(self, ticket: Ticket) -> bool:
        """Leave the queue; False if the ticket is not in it any more."""
        name = _line_of(ticket)
        line = self._lines.get(name)
        if line is None or line.pop(ticket.serial, None) is None:
            return False
        if not line:
            del self._lines[name]
        self._queued[ticket.ask.class_id] -= 1
        self._bytes[ticket.ask.class_id] -= ticket.ask.facts.body_bytes
        self.waiting -= 1
        return True

    def give_place(self, ticket: Ticket) -> None:
        """Take a ticket that is given a place out of its queue."""
        self.remove(ticket)
        self._turnovers[ticket.ask.class_id].given += 1

    def look(self, now_s: float) -> None:
        """See how fast the queues go on. Call it several times a second."""
        for class_id, turnover in self._turnovers.items():
            turnover.look(now_s, self._queued[class_id])

    def retry_after_s(self, class_id: ClassId, limit_left_s: float | None) -> float:
        """When a refused request of this class may come again; see `turnover.retry_after_s`."""
        settings = self._settings[class_id]
        return retry_after_s(
            self._queued[class_id],
            self._turnovers[class_id].rate_per_s(),
            limit_left_s,
            min_s=settings.min_retry_after_s,
            max_s=settings.max_retry_after_s,
        )

    def heads(self) -> list[Ticket]:
        """First of each line, by priority and then longest waiting first."""
        heads = [next(iter(line.values())) for line in self._lines.values()]
        heads.sort(key=_turn)
        return heads

    def turn_s(self) -> float:
        """`Ticket.turn_s` of whose turn is next; 0 if none waits."""
        return min((next(iter(line.values())).turn_s for line in self._lines.values()), default=0.0)

    def expired(self, now_s: float) -> list[Ticket]:
        """Tickets that waited too long, taken out of their queues."""
        late: list[Ticket] = []
        for line in list(self._lines.values()):
            while line:
                ticket = next(iter(line.values()))
                if ticket.expires_at_s > now_s:
                    break
                self.remove(ticket)
                late.append(ticket)
        late.sort(key=lambda ticket: ticket.serial)
        return late


def _turn(ticket: Ticket) -> tuple[float, int]:
    return ticket.turn_s, ticket.serial


def _line_of(ticket: Ticket) -> _Line:
    return ticket.ask.class_id, ticket.ask.precision, ticket.tried
