"""Follows the events that a VTN lists: new ones are submitted, changed ones again, deleted ones cancelled.

No I/O but the book's records. An event that cannot be read changes nothing: what was followed of it before goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec

from controller.errors import MessageError, StoreError
from controller.grid.admit import MAX_SKEW_S
from controller.openadr.draws import Draws
from controller.openadr.event_log import EventLog
from controller.openadr.events import Meaning, Notice, Span, Terms, is_ours, meaning
from controller.openadr.fields import Fields
from controller.openadr.followed import Followed, asker_of, early_s, event_of, is_overtaken, lasts, moves_on
from controller.openadr.messages import Event
from controller.openadr.messages_read import read_event
from controller.openadr.schedule import Hearing, begins_when_heard
from controller.openadr.series import Ranked, held, rank
from controller.openadr.source_calls import Calls, SourceCalls
from controller.openadr.times import write_moment

MAX_EVENTS = 10_000
"""Events that are remembered; more are refused."""
FirstHeard = Callable[[str, float, float], float]
"""When an event of this id was first heard of by any process, of one that this one hears of at the second, s; what was
heard before the third, s, was another event of that id."""


def by_this_process(_: str, heard_s: float, __: float) -> float:
    """What was heard before this process is not known."""
    return heard_s


class EventDesk:
    """The events of one VTN.

    Attributes:
        version: grows with every change of what is followed.
        told: what was refused and passed over.
    """

    def __init__(self, source: str, book: Calls, draws: Draws, first_heard: FirstHeard = by_this_process) -> None:
        self._calls = SourceCalls(source, book)
        self._draws = draws
        self._first_heard = first_heard
        self._followed: dict[str, Followed] = {}
        self._gone: dict[str, float] = {}
        self.version = 0
        self.told = EventLog(source)

    @property
    def followed(self) -> dict[str, Followed]:
        """All events that are known, by id."""
        return dict(self._followed)

    def take(self, content: Any, terms: Terms, held: frozenset[str], now_s: float) -> str | None:
        """One event as the VTN lists it.

        Args:
            content: decoded JSON.
            terms: of its programme.
            held: ids of this source's calls that the book follows.
            now_s: wall clock.

        Returns:
            Its id; None where even that cannot be read, so that nobody knows what else the VTN lists.
        """
        digest = hashlib.blake2b(msgspec.json.encode(content, order="sorted"), digest_size=16).digest()
        try:
            event_id = Fields.of(content, "event").object_id("id")
        except MessageError as error:
            self.told.refuse_nameless(digest, str(error))
            return None
        known = self._followed.get(event_id)
        if known is not None and known.digest == digest and known.is_done and not moves_on(known, now_s):
            return event_id
        if known is None and len(self._followed) >= MAX_EVENTS:
            self.told.refuse(event_id, f"{MAX_EVENTS} events are known already")
            return event_id
        if known is None:
            known = Followed(b"", now_s, now_s, self._draws.of(event_id), terms.programme)
        try:
            event = read_event(content, zone_s=terms.zone_s)
            if is_overtaken(event, known):
                self._pass_over(event_id, known, digest)
                return event_id
            changed_s = early_s(event, now_s)
            if changed_s is not None:
                self._put_off(event, changed_s, (known, terms, content), now_s)
                return event_id
            known = self._heard(event, known)
            modified_s = self._modified_s(event, known, digest, now_s)
            found = self._understood(event, terms, replace(known, modified_s=modified_s), now_s)
        except MessageError as error:
            if known.digest != digest:
                self.told.refuse(event_id, str(error))
            self._followed[event_id] = replace(
                known,
                digest=digest,
                refused=str(error),
                is_done=True,
                looked_s=now_s,
                asker=asker_of(content, terms.own),
            )
            return event_id
        changed = replace(known, digest=digest, event=event, modified_s=modified_s, programme=terms.programme)
        own = frozenset(call_id for call_id in held if event_of(call_id) == event_id)
        self._follow(changed, found, (content, own), now_s)
        return event_id

    def absent(self, listed: Iterable[str], held: Iterable[str]) -> tuple[str, ...]:
        """Events that are followed, or whose calls are held, and that a complete listing does not have."""
        present = set(listed)
        return tuple(sorted((set(self._followed) | {event_of(call_id) for call_id in held}) - present))

    def drop(self, event_id: str, held: Iterable[str], now_s: float, reason: str = "the VTN deleted the event") -> None:
        """The VTN has no such event for us any more: its calls are over."""
        calls = {call_id for call_id in held if event_of(call_id) == event_id}
        known = self._followed.get(event_id)
        calls |= set() if known is None else {call.call_id for call in known.meaning.calls}
        if self._calls.cancel(sorted(calls), now_s, None, reason):
            self._followed.pop(event_id, None)
            self.version += 1
            if calls:
                self._gone[event_id] = now_s
                self._gone = dict(sorted(self._gone.items(), key=lambda each: each[1])[-MAX_EVENTS:])

    def spans(self, kind: str, programme: str | None = None) -> tuple[Span, ...]:
        """What the events say of prices, emissions or default limits, by the name of the `Meaning`'s field."""
        return held(
            Ranked(span, rank(known.event.priority, known.modified_s))
            for known in self._followed.values()
            if known.event is not None and programme in (None, known.programme)
            for span in getattr(known.meaning, kind)
        )

    def notices(self, now_s: float) -> tuple[Notice, ...]:
        """Alerts that are in force or to come."""
        notices = (notice for known in self._followed.values() for notice in known.meaning.notices)
        return tuple(sorted((n for n in notices if n.end_s > now_s), key=lambda n: (n.start_s, n.kind)))

    def _put_off(self, event: Event, changed_s: float, come: tuple[Followed, Terms, Any], now_s: float) -> None:
        """A message from the future changes nothing, so that none of its successors counts as overtaken by it.

        The book refuses and records its calls. It is judged anew at each listing.
        """
        known, terms, content = come
        if not is_ours(event.targets, terms.own):
            return
        found = self._understood(event, terms, replace(known, modified_s=changed_s), now_s)
        raw = msgspec.json.encode(content).decode()
        for call in found.calls:
            self._calls.submit(call, raw, now_s)
        reason = f"it was changed at {write_moment(changed_s)}, more than {MAX_SKEW_S:.0f} s ahead of this clock"
        if known.refused != reason:
            self.told.refuse(event.event_id, f"{reason}; set the clocks of both sides")
        self._followed[event.event_id] = replace(known, refused=reason, is_done=False, looked_s=now_s, asker=event)

    def _heard(self, event: Event, known: Followed) -> Followed:
        """With the time that its "now" stands for: a former process may have heard of what is new to this one.

        One that was made since is another event of the same id, as is one that had gone; one that does not say when it
        was made may be.
        """
        made_s = event.modified_s if event.created_s is None else event.created_s
        if known.event is not None or made_s is None or not begins_when_heard(event):
            return known
        since_s = known.heard_s if event.event_id in self._gone else made_s - MAX_SKEW_S
        try:
            heard_s = self._first_heard(event.event_id, known.heard_s, since_s)
        except StoreError as error:
            self.told.warn("when an event was first heard of is not known", event.event_id, reason=str(error))
            return known
        return replace(known, heard_s=heard_s)

    def _pass_over(self, event_id: str, known: Followed, digest: bytes) -> None:
        """A message that was overtaken by a later change changes nothing; it is told once."""
        if known.overtaken != digest:
            self.told.warn("event is older than what is followed of it, so it is passed over", event_id)
        self._followed[event_id] = replace(known, overtaken=digest)

    def _modified_s(self, event: Event, known: Followed, digest: bytes, now_s: float) -> float:
        """Time of a message's change: what the VTN says, or when it was heard where that cannot be."""
        told_s = event.created_s if event.modified_s is None else event.modified_s
        if known.digest == digest and known.event is not None:
            return known.modified_s
        if known.event is None:
            has_reappeared = self._gone.pop(event.event_id, None) is not None
            return now_s if told_s is None or has_reappeared else told_s
        if told_s is None or told_s <= known.modified_s:
            self.told.warn("event changed without a later modificationDateTime", event.event_id)
            return max(now_s, known.modified_s + 1e-3)
        return told_s

    def _understood(self, event: Event, terms: Terms, known: Followed, now_s: float) -> Meaning:
        if not is_ours(event.targets, terms.own):
            return Meaning()
        return meaning(event, terms, Hearing(known.heard_s, now_s, known.chance), known.modified_s)

    def _follow(self, known: Followed, found: Meaning, come: tuple[Any, frozenset[str]], now_s: float) -> None:
        """Carry out what an event comes to; what fails is tried again at the next listing."""
        content, held = come
        event_id = known.event.event_id if known.event is not None else ""
        self.told.tell_new(event_id, found, known.meaning)
        coming = tuple(call for call in found.calls if call.end_s > now_s)
        raw = msgspec.json.encode(content).decode()
        refusals = [error for call in coming if (error := self._calls.submit(call, raw, now_s)) is not None]
        former = (held | {call.call_id for call in known.meaning.calls}) - {call.call_id for call in coming}
        is_ended = self._calls.cancel(sorted(former), now_s, known.modified_s, "the VTN ended it")
        refused = "; ".join(map(str, refusals)) or None
        if refused is not None and refused != known.refused:
            self.told.refuse(event_id, refused)
        self.version += 1
        self._followed[event_id] = replace(
            known,
            meaning=found,
            refused=refused,
            is_done=refused is None and is_ended,
            looked_s=now_s,
            asker=known.event if any(map(lasts, refusals)) else None,
        )
