"""The book of calls: everything that was asked of the site's power, by operators and by the grid, and what it comes to.

A call is recorded before it is kept, and kept before its sender is told, so that a process that is killed at any
instant forgets none that was accepted. The book is bounded; what is refused is counted, recorded, and never acted upon.
It is called by the API, by the clients of the grid and by the tick on one event loop.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.errors import CallRefused
from controller.grid import admit, easing
from controller.grid.admit import Refusal
from controller.grid.freeze import ReferenceSource
from controller.grid.kept import KeptCall
from controller.grid.loss import LinkState
from controller.grid.taking import taken
from controller.model.call import OPERATOR, Call, CallState
from controller.model.grid import GridEvent
from controller.model.programme import Programme
from controller.ports import Recorder
from controller.signals.admission import Admission
from controller.signals.call_log import CallLog
from controller.signals.call_views import CallView, CallViews
from controller.signals.gone import Gone
from controller.signals.kept_calls import KeptCalls
from controller.signals.links import Links
from controller.signals.references import References
from controller.signals.refusals import Refusals

__all__ = ["CallBook", "CallRefused", "CallView"]

log = logging.getLogger(__name__)

AHEAD_S = 48 * 3600.0
"""How far ahead limits are told to the planner."""
MAX_EVENTS = 512
"""Limits told to it at once: all that are in force, and the next of those to come."""


class CallBook:
    """The calls that are pending, active, or ended within the last hour.

    Attributes:
        links: the sources that are expected to be heard.
        kept: the calls.
        programmes: the terms, by name.
    """

    def __init__(
        self,
        recorder: Recorder,
        programmes: Mapping[str, Programme] | None = None,
        references: ReferenceSource | None = None,
        *,
        draws: random.Random | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without a call.

        Args:
            recorder: of what becomes of calls.
            programmes: the terms, by name; None for the built-in one.
            references: what relative calls are counted from.
            draws: chance.
            look: called before anything is told the time of; sees whether the clock was set, and then calls `step`.
        """
        self._log = CallLog(recorder)
        self.programmes = {OPERATOR: Programme(OPERATOR)} if programmes is None else dict(programmes)
        self._views = CallViews(self.programmes, References() if references is None else references)
        self._draws = draws or random.Random()
        self.kept = KeptCalls(self._log)
        self._refusals = Refusals(self._log)
        self._admission = Admission(self.programmes, self.kept, self._refusals)
        self._look = look
        self.links = Links()

    @property
    def refused(self) -> Counter[str]:
        """How many messages were refused, by cause."""
        return self._refusals.counts

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
        self._look()
        self._forget(now_s)
        self.links.heard(call.source, now_s)
        before = self.kept.get(call.source, call.call_id)
        if before is not None and admit.is_stale(call, before.call.modified_s):
            return before.call
        if before is not None and before.is_ended_by(call, now_s) and admit.is_timely(call, now_s):
            reason = "ended by its sender"
            ended = self.cancel(call.source, call.call_id, now_s, modified_s=call.modified_s, reason=reason)
            return before.call if ended is None else ended
        programme = self._admission.admitted(call, now_s, raw)
        kept = taken(call, before, programme, self._draws, now_s)
        self.kept.keep(kept, "added" if before is None else "modified", now_s, raw=raw)
        self._admission.changed(programme, now_s)
        log.info(
            "call taken in",
            extra={
                "source": call.source,
                "call_id": call.call_id,
                "programme": call.programme,
                "start_s": kept.call.start_s,
                "end_s": kept.call.end_s,
            },
        )
        return kept.call

    def cancel(
        self, source: str, call_id: str, now_s: float, *, modified_s: float | None = None, reason: str = ""
    ) -> Call | None:
        """End a call now; None where there is none, it is over, or a newer change of it than `modified_s` is held.

        Raises:
            StoreError: it could not be recorded; the call then goes on.
        """
        self._look()
        latest_s = now_s + admit.MAX_SKEW_S
        if modified_s is not None and not modified_s <= latest_s:
            modified_s = latest_s
        kept = self.kept.get(source, call_id)
        if kept is None:
            if modified_s is not None:  # it has overtaken the call itself, which must not come into force after it
                self.kept.overtaken(Gone(source, call_id, modified_s), now_s)
            return None
        if modified_s is not None and modified_s < kept.call.modified_s:
            return None
        call = kept.call if modified_s is None else dataclasses.replace(kept.call, modified_s=modified_s)
        if kept.is_over(now_s):
            if call != kept.call:
                self.kept.keep(dataclasses.replace(kept, call=call), "cancelled", now_s, reason=reason)
            return None
        self.kept.keep(dataclasses.replace(kept, call=call, cancelled_s=now_s), "cancelled", now_s, reason=reason)
        log.info("call cancelled", extra={"source": source, "call_id": call_id, "reason": reason})
        return call

    def opt_out(self, source: str, call_id: str, reason: str, now_s: float) -> Call | None:
        """Do not follow a call any more, by the operator's choice; None where there is none or it is over.

        Raises:
            StoreError: it could not be recorded; the call then goes on.
        """
        self._look()
        kept = self.kept.get(source, call_id)
        if kept is None or kept.is_over(now_s):
            return None
        if kept.opted_out_s is None:
            call = dataclasses.replace(kept.call, opted_out=reason or "no reason given")
            easings = easing.ended(kept.easings, now_s)
            kept = dataclasses.replace(kept, call=call, opted_out_s=now_s, easings=easings)
            self.kept.keep(kept, "opted_out", now_s, reason=reason)
            log.warning("opted out of a call", extra={"source": source, "call_id": call_id, "reason": reason})
        return kept.call

    def follow_in_part(self, source: str, call_id: str, floor_w: float, reason: str, now_s: float) -> Call | None:
        """Follow a call no lower than a power from now on, by the operator's choice; None where there is none left.

        Args:
            source: of the call.
            call_id: its id.
            floor_w: at the metering point; where the call asks for less, this is its limit.
            reason: the operator's.
            now_s: wall clock.

        Raises:
            CallRefused: the floor is outside of the programme's bounds.
            StoreError: it could not be recorded; the call is then followed as before.
        """
        self._look()
        kept = self.kept.get(source, call_id)
        if kept is None or kept.is_over(now_s):
            return None
        terms = self.programmes.get(kept.call.programme) or Programme(kept.call.programme)
        easing.check_floor(call_id, floor_w, terms)
        easings = easing.eased(kept.easings, floor_w, reason, now_s)
        if easings != kept.easings or kept.opted_out_s is not None:
            call = dataclasses.replace(kept.call, opted_out=None)
            kept = dataclasses.replace(kept, call=call, opted_out_s=None, easings=easings)
            self.kept.keep(kept, "opted_out_in_part", now_s, reason=reason)
            told = {"source": source, "call_id": call_id, "down_to_w": floor_w, "reason": reason}
            log.warning("a call is followed in part", extra=told)
        return kept.call

    def opt_in(self, source: str, call_id: str, now_s: float) -> Call | None:
        """Follow a call again, and all of it; None where there is none or it is over.

        Raises:
            StoreError: it could not be recorded; the call is then followed as before.
        """
        self._look()
        kept = self.kept.get(source, call_id)
        if kept is None or kept.is_over(now_s):
            return None
        easings = easing.ended(kept.easings, now_s)
        if kept.opted_out_s is not None or easings != kept.easings:
            call = dataclasses.replace(kept.call, opted_out=None)
            kept = dataclasses.replace(kept, call=call, opted_out_s=None, easings=easings)
            self.kept.keep(kept, "opted_in", now_s)
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
            self._refusals.counts[cause.value] += 1
            log.warning("default limit refused", extra={"source": source, "programme": programme, "limit_w": limit_w})
            return False
        self.links.subscribe(source, programme, limit_w)
        return True

    def calls(self, now_s: float) -> tuple[CallView, ...]:
        """All calls held, by their start, with what they come to."""
        self._look()
        self._forget(now_s)
        ordered = sorted(self.kept.all(), key=lambda kept: (kept.call.start_s, kept.key))
        return tuple(self._seen(kept, now_s) for kept in ordered)

    def current(self, now_s: float) -> tuple[GridEvent, ...]:
        """The limits in force, and the next to come, by their start: those of calls, and of sources that are lost."""
        views = self.calls(now_s)
        events = [
            event
            for view in views
            if view.state in (CallState.PENDING, CallState.ACTIVE)
            for event in view.events
            if event.state(now_s) is not None
        ]
        events += [event for view in views for event in view.held_over if event.state(now_s) is not None]
        events += [event for state in self.sources(now_s) for event in state.defaults]
        self.kept.renew(now_s)
        near = (event for event in events if event.start_s < now_s + AHEAD_S)
        return tuple(sorted(near, key=lambda event: (event.start_s, event.event_id))[:MAX_EVENTS])

    def sources(self, now_s: float) -> tuple[LinkState, ...]:
        """How the sources stand that are expected to be heard."""
        self._look()
        return self.links.states(self.programmes, self.kept.all(), now_s)

    def step(self, step_s: float, now_s: float) -> None:
        """The clock was set ahead by so much, s: until it is known to be right, calls hold by its former course too."""
        self.links.shift(step_s)
        self.kept.step(step_s, now_s)

    def trust(self, now_s: float) -> None:
        """The clock is known to be right: calls hold by what it shows alone."""
        self.kept.trust(now_s)

    def restore(self, records: Iterable[Mapping[str, Any]], now_s: float) -> int:
        """Take in recorded changes, oldest first; returns how many calls are pending or active."""
        self.kept.restore(records)
        return sum(1 for kept in self.kept.all() if not kept.is_over(now_s))

    def preview(self, call: Call, now_s: float) -> CallView:
        """What a call would come to if it were submitted now; nothing is kept, drawn by chance or recorded.

        Raises:
            CallRefused: it would not be followed, and why.
        """
        self._look()
        return self._views.preview(KeptCall(call), self._admission.terms(call, now_s), now_s)

    @property
    def steps(self) -> Counter[str]:
        """How many references were frozen, by where they came from."""
        return self._views.steps

    def _seen(self, kept: KeptCall, now_s: float) -> CallView:
        """A call and what it comes to; what has begun freezes on the way."""
        seen, view, resolved = self._views.see(kept, now_s)
        if seen is not kept:
            self.kept.froze(seen, resolved, now_s)
        return view

    def _forget(self, now_s: float) -> None:
        self._views.forget(self.kept.forget(now_s))
