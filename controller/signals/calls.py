"""The book of calls: everything that was asked of the site's power, by operators and by the grid, and what it comes to.

A call is recorded before it is kept, and kept before its sender is told, so that a process that is killed at any
instant forgets none that was accepted. The book is bounded; what is refused is counted, recorded, and never acted upon.
It is called by the API, by the clients of the grid and by the tick on one event loop.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from controller.errors import CallRefused
from controller.grid import admit
from controller.grid.admit import Known, Refusal
from controller.grid.freeze import ReferenceSource
from controller.grid.kept import Frozen, KeptCall
from controller.grid.loss import LinkState
from controller.model.call import OPERATOR, Call, CallState
from controller.model.grid import GridEvent
from controller.model.programme import Programme
from controller.ports import Recorder
from controller.signals import call_log
from controller.signals.call_log import CallLog
from controller.signals.call_views import CallView, CallViews
from controller.signals.links import Links
from controller.signals.references import References

__all__ = ["CallBook", "CallRefused", "CallView"]

log = logging.getLogger(__name__)

KEEP_ENDED_S = 3600.0
AHEAD_S = 48 * 3600.0
"""How far ahead limits are told to the planner."""
MAX_EVENTS = 512
"""Limits told to it at once: all that are in force, and the next of those to come."""
_MAX_GONE = 1024
_MAX_REFUSED = 256
_TRANSIENT = {Refusal.RATE.value, Refusal.FULL.value, Refusal.UNKNOWN_PROGRAMME.value}
"""Causes that may be gone when the same message comes again."""


class CallBook:
    """The calls that are pending, active, or ended within the last hour.

    Attributes:
        refused: how many messages were refused, by cause.
        links: the sources that are expected to be heard.
        programmes: the terms, by name.
    """

    def __init__(
        self,
        recorder: Recorder,
        programmes: Mapping[str, Programme] | None = None,
        references: ReferenceSource | None = None,
        *,
        draws: random.Random | None = None,
    ) -> None:
        self._log = CallLog(recorder)
        self.programmes = {OPERATOR: Programme(OPERATOR)} if programmes is None else dict(programmes)
        self._views = CallViews(self.programmes, References() if references is None else references)
        self._draws = draws or random.Random()
        self._kept: dict[tuple[str, str], KeptCall] = {}
        self._gone: dict[tuple[str, str], float] = {}
        self._changes: dict[str, deque[float]] = {}
        self._refused_before: dict[tuple[str, str, float], CallRefused] = {}
        self.links = Links()
        self.refused: Counter[str] = Counter({cause.value: 0 for cause in Refusal})

    def submit(self, call: Call, now_s: float, *, raw: str = "") -> Call:
        """Take in a call, or a change of one; what says nothing newer than what is held changes nothing.

        Args:
            call: as it was heard; its randomised start is drawn here, once.
            now_s: wall clock.
            raw: the message itself, for the record.

        Returns:
            The call as it is followed.

        Raises:
            CallRefused: it is not followed, and why.
            StoreError: it could not be recorded; the call is then not taken in.
        """
        self._forget(now_s)
        self.links.heard(call.source, now_s)
        before = self._kept.get((call.source, call.call_id))
        if before is not None and admit.is_stale(call, before.call.modified_s):
            return before.call
        if before is not None and not before.is_over(now_s) and call.end_s <= now_s and admit.is_timely(call, now_s):
            self.cancel(call.source, call.call_id, now_s, modified_s=call.modified_s, reason="ended by its sender")
            return self._kept[before.key].call
        programme = self._admitted(call, now_s, raw)
        taken = self._taken(call, before, now_s)
        self._keep(taken, "added" if before is None else "modified", now_s, raw=raw)
        self._changes.setdefault(programme.name, deque(maxlen=max(1, programme.changes_per_min))).append(now_s)
        log.info(
            "call taken in",
            extra={
                "source": call.source,
                "call_id": call.call_id,
                "programme": call.programme,
                "start_s": taken.call.start_s,
                "end_s": taken.call.end_s,
            },
        )
        return taken.call

    def cancel(
        self, source: str, call_id: str, now_s: float, *, modified_s: float | None = None, reason: str = ""
    ) -> Call | None:
        """End a call now; None where there is none, it is over, or a newer change of it than `modified_s` is held.

        Raises:
            StoreError: it could not be recorded; the call then goes on.
        """
        latest_s = now_s + admit.MAX_SKEW_S
        if modified_s is not None and not modified_s <= latest_s:
            modified_s = latest_s
        kept = self._kept.get((source, call_id))
        if kept is None:
            if modified_s is not None:  # it has overtaken the call itself, which must not come into force after it
                self._remember_gone((source, call_id), modified_s)
            return None
        if modified_s is not None and modified_s < kept.call.modified_s:
            return None
        call = kept.call if modified_s is None else dataclasses.replace(kept.call, modified_s=modified_s)
        if kept.is_over(now_s):
            if call != kept.call:
                self._keep(dataclasses.replace(kept, call=call), "cancelled", now_s, reason=reason)
            return None
        self._keep(dataclasses.replace(kept, call=call, cancelled_s=now_s), "cancelled", now_s, reason=reason)
        log.info("call cancelled", extra={"source": source, "call_id": call_id, "reason": reason})
        return call

    def opt_out(self, source: str, call_id: str, reason: str, now_s: float) -> Call | None:
        """Do not follow a call any more, by the operator's choice; None where there is none or it is over.

        Raises:
            StoreError: it could not be recorded; the call then goes on.
        """
        kept = self._kept.get((source, call_id))
        if kept is None or kept.is_over(now_s):
            return None
        if kept.opted_out_s is None:
            call = dataclasses.replace(kept.call, opted_out=reason or "no reason given")
            kept = dataclasses.replace(kept, call=call, opted_out_s=now_s)
            self._keep(kept, "opted_out", now_s, reason=reason)
            log.warning("opted out of a call", extra={"source": source, "call_id": call_id, "reason": reason})
        return kept.call

    def opt_in(self, source: str, call_id: str, now_s: float) -> Call | None:
        """Follow a call again; None where there is none or it is over.

        Raises:
            StoreError: it could not be recorded; the call is then still not followed.
        """
        kept = self._kept.get((source, call_id))
        if kept is None or kept.is_over(now_s):
            return None
        if kept.opted_out_s is not None:
            call = dataclasses.replace(kept.call, opted_out=None)
            kept = dataclasses.replace(kept, call=call, opted_out_s=None)
            self._keep(kept, "opted_in", now_s)
            log.info("opted in to a call", extra={"source": source, "call_id": call_id})
        return kept.call

    def watch(self, source: str, programmes: tuple[str, ...], now_s: float) -> None:
        """Expect a source to be heard: from now on its silence is told, and in time acted upon."""
        self.links.watch(source, programmes, now_s)

    def heard(self, source: str, now_s: float) -> None:
        """The link to a source is alive."""
        self.links.heard(source, now_s)

    def subscribe(self, source: str, programme: str, limit_w: float | None, now_s: float) -> bool:
        """Take the default limit that a source tells of itself (OpenADR's capacity subscription); None lets it go.

        Returns:
            Whether it was taken: one outside of the programme's bounds is refused, counted and told.
        """
        terms = self.programmes.get(programme)
        if terms is None or (limit_w is not None and not terms.least_w <= limit_w <= terms.most_w):
            cause = Refusal.UNKNOWN_PROGRAMME if terms is None else Refusal.BOUNDS
            self.refused[cause.value] += 1
            log.warning("default limit refused", extra={"source": source, "programme": programme, "limit_w": limit_w})
            return False
        self.links.subscribe(source, programme, limit_w)
        return True

    def calls(self, now_s: float) -> tuple[CallView, ...]:
        """All calls held, by their start, with what they come to."""
        self._forget(now_s)
        ordered = sorted(self._kept.values(), key=lambda kept: (kept.call.start_s, kept.key))
        return tuple(self._seen(kept, now_s) for kept in ordered)

    def current(self, now_s: float) -> tuple[GridEvent, ...]:
        """The limits in force, and the next to come, by their start: those of calls, and of sources that are lost."""
        events = [
            event
            for view in self.calls(now_s)
            if view.state in (CallState.PENDING, CallState.ACTIVE)
            for event in view.events
            if event.state(now_s) is not None
        ]
        events += [event for state in self.sources(now_s) for event in state.defaults]
        for kept in self._kept.values():
            if not kept.is_over(now_s):
                self._log.renew(kept, now_s)
        near = (event for event in events if event.start_s < now_s + AHEAD_S)
        return tuple(sorted(near, key=lambda event: (event.start_s, event.event_id))[:MAX_EVENTS])

    def sources(self, now_s: float) -> tuple[LinkState, ...]:
        """How the sources stand that are expected to be heard."""
        return self.links.states(self.programmes, tuple(self._kept.values()), now_s)

    def restore(self, records: Iterable[Mapping[str, Any]], now_s: float) -> int:
        """Take in recorded changes, oldest first; returns how many calls are pending or active."""
        for kept in call_log.read(records):
            self._kept[kept.key] = kept
        self._forget(now_s)
        return sum(1 for kept in self._kept.values() if not kept.is_over(now_s))

    def preview(self, call: Call, now_s: float) -> CallView:
        """What a call would come to if it were submitted now; nothing is kept, drawn by chance or recorded.

        Raises:
            CallRefused: it would not be followed, and why.
        """
        return self._views.preview(KeptCall(call), self._terms(call, now_s), now_s)

    def _admitted(self, call: Call, now_s: float, raw: str) -> Programme:
        known = (call.source, call.call_id, call.modified_s)
        if known in self._refused_before:
            raise self._refused_before[known]
        try:
            if len(raw) > admit.MAX_RAW_CHARS:
                raise CallRefused(f"the message has {len(raw)} characters, more than {admit.MAX_RAW_CHARS}")
            return self._terms(call, now_s)
        except CallRefused as error:
            self._refuse(call, error, now_s, raw)
            raise

    def _terms(self, call: Call, now_s: float) -> Programme:
        """The terms on which a call is taken in; raises `CallRefused` where it is not."""
        key = (call.source, call.call_id)
        if admit.is_stale(call, self._gone.get(key)):
            raise CallRefused(f"call {call.call_id!r:.80} is over", is_conflict=True, cause=Refusal.REPLAYED.value)
        others = [kept for known, kept in self._kept.items() if known != key and not kept.is_over(now_s)]
        intervals = sum(len(kept.call.intervals) for kept in others)
        changes = tuple(self._changes.get(call.programme, ()))
        return admit.check(call, self.programmes.get(call.programme), Known(len(others), intervals, changes), now_s)

    def _refuse(self, call: Call, error: CallRefused, now_s: float, raw: str) -> None:
        """Count a refusal, record and tell it; the same message once more is refused without that."""
        self.refused[error.cause] += 1
        if error.cause not in _TRANSIENT:
            if len(self._refused_before) >= _MAX_REFUSED:
                self._refused_before.pop(next(iter(self._refused_before)))
            self._refused_before[call.source, call.call_id, call.modified_s] = error
        self._log.refused(call, error, now_s, raw)

    def _taken(self, call: Call, before: KeptCall | None, now_s: float) -> KeptCall:
        """The call with its start drawn, and with what an earlier form of it leaves to it."""
        going_on = before if before is not None and not before.is_over(now_s) else None
        received_s = min(call.received_s if going_on is None else going_on.call.received_s, now_s)
        if going_on is not None and going_on.randomize_s == call.randomize_s:
            offset_s = going_on.offset_s
            shifted = admit.put_off(call, offset_s)
        else:
            shifted, offset_s = admit.drawn(call, self._draws)
        opted_out = call.opted_out if going_on is None else call.opted_out or going_on.call.opted_out
        shifted = dataclasses.replace(shifted, received_s=received_s, opted_out=opted_out)
        has_begun = going_on is not None and going_on.call.start_s <= now_s and shifted.start_s <= now_s
        opted_out_s = None if opted_out is None else now_s
        if going_on is not None and going_on.opted_out_s is not None:
            opted_out_s = going_on.opted_out_s
        return KeptCall(
            call=shifted,
            offset_s=offset_s,
            randomize_s=call.randomize_s,
            opted_out_s=opted_out_s,
            frozen=going_on.frozen if going_on is not None and has_begun else Frozen(),
        )

    @property
    def steps(self) -> Counter[str]:
        """How many references were frozen, by where they came from."""
        return self._views.steps

    def _seen(self, kept: KeptCall, now_s: float) -> CallView:
        """A call and what it comes to; what has begun freezes on the way."""
        seen, view, resolved = self._views.see(kept, now_s)
        if seen is not kept:
            self._kept[kept.key] = seen
            self._log.frozen(seen, resolved, now_s)
        return view

    def _keep(self, kept: KeptCall, action: str, now_s: float, **told: Any) -> None:
        self._log.write(kept, action, now_s, told)
        self._kept[kept.key] = kept

    def _forget(self, now_s: float) -> None:
        """Let go of what has long been over, but for the time of its last change."""
        gone = [key for key, kept in self._kept.items() if now_s >= kept.end_s + KEEP_ENDED_S]
        over = sorted((kept.end_s, key) for key, kept in self._kept.items() if kept.is_over(now_s) and key not in gone)
        room = max(0, len(self._kept) - len(gone) - admit.MAX_CALLS)
        gone += [key for _, key in over[:room]]
        for key in gone:
            self._remember_gone(key, self._kept.pop(key).call.modified_s)
        self._log.forget(gone)
        self._views.forget(gone)

    def _remember_gone(self, key: tuple[str, str], modified_s: float) -> None:
        """A call that is not held any more is not revived by what is older than this."""
        self._gone[key] = max(modified_s, self._gone.pop(key, modified_s))
        while len(self._gone) > _MAX_GONE:
            self._gone.pop(next(iter(self._gone)))
