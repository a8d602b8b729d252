"""What calls come to: each one with its limits, its frozen references, and what of it cannot be followed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.grid.easing import Easings
from controller.grid.freeze import Froze, ReferenceSource, freeze
from controller.grid.held_over import held_over
from controller.grid.kept import Frozen, KeptCall, Origin, events_at
from controller.grid.resolve import References, Resolved, Unresolved
from controller.model.call import Call, CallState
from controller.model.grid import GridEvent
from controller.model.programme import Programme

log = logging.getLogger(__name__)

_MAX_TOLD = 4096


@dataclass(frozen=True, slots=True)
class CallView:
    """A call, and what it comes to.

    Attributes:
        events: one for each interval that asks for a limit, those of the past included; of a call that was cancelled or
            opted out of, cut off then.
        unresolved: what of it cannot be followed, and why.
        clipped: ids of events whose limit was raised to the least that the programme calls sane.
        courses_s: offsets of former courses of a clock that was set since, by which it holds as well.
        held_over: limits that are held for a while after those, until the return begins.
        easings: when the operator had it followed in part; the last one may hold.
    """

    call: Call
    state: CallState
    events: tuple[GridEvent, ...]
    unresolved: tuple[Unresolved, ...]
    clipped: tuple[str, ...]
    frozen: Frozen
    cancelled_s: float | None
    opted_out_s: float | None
    courses_s: tuple[float, ...] = ()
    held_over: tuple[GridEvent, ...] = ()
    easings: Easings = ()


class CallViews:
    """Works them out, and tells in the log what is amiss.

    Attributes:
        steps: how many references were frozen, by where they came from.
    """

    def __init__(self, programmes: Mapping[str, Programme], references: ReferenceSource) -> None:
        self._programmes = programmes
        self._references = references
        self._told: set[tuple[str, ...]] = set()
        self._worked_out: dict[tuple[str, str], tuple[tuple[KeptCall, References, Programme], Resolved]] = {}
        self.steps: Counter[str] = Counter()

    def see(self, kept: KeptCall, now_s: float) -> tuple[KeptCall, CallView, Resolved]:
        """A call, and what it comes to; the call is another one where something of it froze just now."""
        programme = self._programmes.get(kept.call.programme)
        if programme is None:
            reason = f"programme {kept.call.programme} is not configured any more: built-in terms hold"
            self._tell(kept, "call without its programme", reason)
            programme = Programme(kept.call.programme)
        froze = freeze(kept, programme, self._references, now_s)
        resolved = self._resolved(froze, programme)
        if froze.kept is not kept:
            self.steps.update(step.value for step in froze.steps)
            self._tell_frozen(froze.kept, froze.steps)
        state = kept.state(now_s)
        if state is CallState.ACTIVE:
            for each in resolved.unresolved:
                self._tell(kept, "call cannot be followed", each.reason)
            for event_id in resolved.clipped:
                self._tell(kept, "limit raised to the least that is sane", event_id)
        return froze.kept, _view(froze.kept, programme, resolved, now_s), resolved

    def preview(self, kept: KeptCall, programme: Programme, now_s: float) -> CallView:
        """What a call that is not kept would come to, by what is known now."""
        froze = freeze(kept, programme, self._references, now_s)
        return _view(froze.kept, programme, froze.kept.resolved(programme, froze.references), now_s)

    def forget(self, keys: Iterable[tuple[str, str]]) -> None:
        """These calls are held no more."""
        for key in keys:
            self._worked_out.pop(key, None)

    def _resolved(self, froze: Froze, programme: Programme) -> Resolved:
        """What a call comes to, worked out anew only where something it hangs on has changed."""
        basis = (froze.kept, froze.references, programme)
        before = self._worked_out.get(froze.kept.key)
        if before is not None and before[0][0] is basis[0] and before[0][1:] == basis[1:]:
            return before[1]
        resolved = froze.kept.resolved(programme, froze.references)
        self._worked_out[froze.kept.key] = (basis, resolved)
        return resolved

    def _tell_frozen(self, kept: KeptCall, steps: tuple[Origin, ...]) -> None:
        """Log what was frozen; as a warning where it is not what the programme's rule makes."""
        baseline = kept.frozen.baseline
        extra = {
            "source": kept.call.source,
            "call_id": kept.call.call_id,
            "baseline_w": None if baseline is None else baseline.value_w,
            "present_w": [draw.value_w for draw in kept.frozen.present],
            "origins": [step.value for step in steps],
        }
        is_step_down = any(step in (Origin.METER_BEFORE, Origin.MODELLED) for step in steps) or (
            baseline is not None and baseline.origin is Origin.PRESENT
        )
        if steps:
            log.log(logging.WARNING if is_step_down else logging.INFO, "references of a call are frozen", extra=extra)

    def _tell(self, kept: KeptCall, message: str, reason: str) -> None:
        """Log what is amiss with a call, once."""
        told = (*kept.key, message, reason)
        if told in self._told:
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told.add(told)
        extra = {"source": kept.call.source, "call_id": kept.call.call_id, "reason": reason}
        log.warning(message, extra=extra)


def _view(kept: KeptCall, programme: Programme, resolved: Resolved, now_s: float) -> CallView:
    events = events_at(resolved.events, now_s) if kept.courses_s else resolved.events
    is_followed = kept.opted_out_s is None
    return CallView(
        call=kept.call,
        state=kept.state(now_s),
        events=events,
        unresolved=resolved.unresolved,
        clipped=resolved.clipped,
        frozen=kept.frozen,
        cancelled_s=kept.cancelled_s,
        opted_out_s=kept.opted_out_s,
        courses_s=kept.courses_s,
        held_over=held_over(events, kept.restore_frac * programme.restore_random_s) if is_followed else (),
        easings=kept.easings,
    )
