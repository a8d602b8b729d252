"""An operator's call to curtail as the API takes it in: one commitment, or a schedule of several; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.errors import CallRefused
from controller.model.call import MAX_INTERVALS, OPERATOR, Asked, Call, CallInterval, Commitment
from controller.model.programme import Programme
from controller.signals.call_views import CallView

MAX_LIMIT_W = 1e9
MAX_START_IN_S = 30 * 86_400.0
MAX_DURATION_S = 7 * 86_400.0
MAX_RAMP_S = 3600.0
MAX_REASON = 500
MOST_LEVEL = 100
"""Levels are whole numbers from its negative to it."""
FORMS = {
    "limit_w": (Asked.AT_MOST_W, 0.0, MAX_LIMIT_W),
    "below_baseline_w": (Asked.BELOW_BASELINE_W, 0.0, MAX_LIMIT_W),
    "below_baseline_frac": (Asked.BELOW_BASELINE_FRAC, 0.0, 1.0),
    "below_present_w": (Asked.BELOW_PRESENT_W, 0.0, MAX_LIMIT_W),
    "level": (Asked.LEVEL, -MOST_LEVEL, MOST_LEVEL),
}
"""Keys that say what is asked for, with least and largest value of each; a request or an interval has one of them."""
_INTERVAL_KEYS = frozenset((*FORMS, "duration_s"))
_REQUEST_KEYS = frozenset(
    (
        *_INTERVAL_KEYS,
        *("intervals", "start_in_s", "start", "ramp_s", "event_id", "programme", "is_test", "priority", "dry_run"),
    )
)
_OPT_OUT_KEYS = frozenset(("reason", "down_to_w"))
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class EventRequest:
    """What an operator asks for.

    Attributes:
        stretches: (what is asked for, for how long in s), one after the other.
        start_s: wall clock; None for now.
        start_in_s: from then on.
        ramp_s: time after each start by which its limit is met; None takes the programme's.
        dry_run: whether it is only to be told what would hold.
    """

    stretches: tuple[tuple[Commitment, float], ...]
    start_s: float | None = None
    start_in_s: float = 0.0
    ramp_s: float | None = None
    event_id: str | None = None
    programme: str = OPERATOR
    is_test: bool = False
    priority: int | None = None
    dry_run: bool = False

    def call(self, event_id: str, now_s: float) -> Call:
        """The same as a call.

        Raises:
            CallRefused: it begins too far ahead.
        """
        from_s = begin_s((self.start_s, self.start_in_s), now_s)
        intervals = []
        for commitment, duration_s in self.stretches:
            intervals.append(CallInterval(from_s, from_s + duration_s, commitment))
            from_s += duration_s
        return Call(
            event_id,
            OPERATOR,
            self.programme,
            received_s=now_s,
            modified_s=now_s,
            intervals=tuple(intervals),
            priority=self.priority,
            ramp_s=self.ramp_s,
            is_test=self.is_test,
        )


@dataclass(frozen=True, slots=True)
class OptOut:
    """An operator's choice not to follow a call.

    Attributes:
        down_to_w: as low as it is followed; None for not at all.
    """

    reason: str
    down_to_w: float | None = None


def read_opt_out(data: Any) -> OptOut:
    """Check the JSON form of an opt-out; an unknown key is refused, since without it a part would become the whole.

    Raises:
        CallRefused: naming the key, the value and what is expected.
    """
    reason = data.get("reason") if isinstance(data, dict) else None
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= MAX_REASON:
        raise CallRefused(f'write the body as {{"reason": "TEXT"}}, of 1 to {MAX_REASON} characters')
    refuse_strangers(data, _OPT_OUT_KEYS, "")
    return OptOut(reason, read_number(data, "down_to_w", 0.0, MAX_LIMIT_W) if "down_to_w" in data else None)


def read_request(data: Any) -> EventRequest:
    """Check the JSON form of a request.

    Raises:
        CallRefused: naming the key, the value and what is expected.
    """
    refuse_strangers(data, _REQUEST_KEYS, "")
    event_id = read_id(data, "event_id")
    start_s, start_in_s = read_start(data)
    programme = data.get("programme", OPERATOR)
    if not isinstance(programme, str):
        raise CallRefused(f"programme is {programme!r:.40}; write the name of a configured programme")
    priority = None if data.get("priority") is None else int(read_number(data, "priority", 0.0, 1e6))
    stretches = _stretches(data)
    return EventRequest(
        stretches=stretches,
        start_s=start_s,
        start_in_s=start_in_s,
        ramp_s=None if data.get("ramp_s") is None else _ramp_s(data, sum(length_s for _, length_s in stretches)),
        event_id=event_id,
        programme=programme,
        is_test=_flag(data, "is_test"),
        priority=priority,
        dry_run=_flag(data, "dry_run"),
    )


def refuse_what_binds_nothing(call: Call, programme: Programme | None) -> None:
    """Refuse, where there is such a programme, levels that it does not know and a ramp of its own as long as the event.

    Raises:
        CallRefused: naming the level and those that are known, or the ramp.
    """
    if programme is None:
        return
    lasts_s = call.end_s - call.start_s
    if call.ramp_s is None and programme.ramp_s >= lasts_s:
        raise CallRefused(
            f"the event lasts {lasts_s:g} s, and programme {programme.name} allows a ramp of {programme.ramp_s:g} s: "
            "its limit would never have to be kept; write a shorter ramp_s or lengthen the event"
        )
    known = dict(programme.levels)
    for each in call.intervals:
        level = each.commitment.value
        if each.commitment.asked is Asked.LEVEL and level not in known:
            has = f"which has {', '.join(map(str, sorted(known)))}" if known else "which are empty"
            raise CallRefused(
                f"programme {programme.name} does not say what level {level:g} asks for; add it to levels, {has}"
            )


def read_time_s(value: Any, key: str) -> float:
    """Wall clock of an ISO 8601 time with its offset.

    Raises:
        CallRefused: it is none.
    """
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError("no offset")
        return moment.timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise CallRefused(f"{key} is {value!r:.40}; write a time with its offset, as 2026-07-14T17:00:00Z") from error


def chosen_id(request: EventRequest, views: tuple[CallView, ...], now_s: float) -> str:
    """The id that was asked for, or one that is free.

    Raises:
        CallRefused: the id is taken.
    """
    taken = {view.call.call_id for view in views if view.call.source == OPERATOR}
    if request.event_id in taken:
        raise CallRefused(f"event {request.event_id!r} exists already; choose another event_id", is_conflict=True)
    if request.event_id is not None:
        return request.event_id
    return free_id("operator", taken, now_s)


def free_id(kind: str, taken: Collection[str], now_s: float) -> str:
    """An id that is not taken, of what it is for and the time."""
    base = f"{kind}-{int(now_s)}"
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)


def read_id(data: dict[str, Any], key: str) -> str | None:
    """The id that was chosen; None for none.

    Raises:
        CallRefused: it is no name.
    """
    value = data.get(key)
    if value is None or (isinstance(value, str) and _ID.fullmatch(value)):
        return value
    raise CallRefused(f"{key} {value!r:.80} is not a name of 1 to 64 letters, digits, '.', '_' and '-'")


def read_start(data: dict[str, Any]) -> tuple[float | None, float]:
    """When it is to begin: a time on the wall clock, None for now, and how long after that.

    Raises:
        CallRefused: it is said twice, is no time, or is too far ahead.
    """
    if "start" in data and "start_in_s" in data:
        raise CallRefused("start and start_in_s both say when it begins; leave one out")
    start_s = None if "start" not in data else read_time_s(data["start"], "start")
    return start_s, read_number(data, "start_in_s", 0.0, MAX_START_IN_S, default=0.0)


def begin_s(start: tuple[float | None, float], now_s: float) -> float:
    """When it begins, on the wall clock.

    Args:
        start: as `read_start` tells it.
        now_s: wall clock.

    Raises:
        CallRefused: too far ahead.
    """
    from_s = now_s if start[0] is None else start[0]
    if from_s > now_s + MAX_START_IN_S:
        raise CallRefused(f"start is {from_s - now_s:.0f} s ahead, more than {MAX_START_IN_S:g}")
    return from_s + start[1]


def _ramp_s(data: dict[str, Any], lasts_s: float) -> float:
    ramp_s = read_number(data, "ramp_s", 0.0, MAX_RAMP_S)
    if ramp_s >= lasts_s:
        raise CallRefused(
            f"ramp_s is {ramp_s:g}, but the event lasts {lasts_s:g} s: its limit would never have to be kept; shorten "
            "the ramp or lengthen the event"
        )
    return ramp_s


def _stretches(data: dict[str, Any]) -> tuple[tuple[Commitment, float], ...]:
    if "intervals" not in data:
        return (_stretch(data, ""),)
    mixed = sorted(_INTERVAL_KEYS & set(data))
    if mixed:
        raise CallRefused(f"{mixed[0]} stands beside intervals; write it in each of them")
    intervals = data["intervals"]
    if not isinstance(intervals, list) or not 0 < len(intervals) <= MAX_INTERVALS:
        raise CallRefused(f"intervals is {intervals!r:.40}; write a list of 1 to {MAX_INTERVALS} objects")
    out = []
    for n, interval in enumerate(intervals):
        refuse_strangers(interval, _INTERVAL_KEYS, f"intervals[{n}].")
        asks = any(key in interval for key in FORMS)
        out.append(
            _stretch(interval, f"intervals[{n}].")
            if asks
            else (
                Commitment(Asked.NOTHING),
                read_number(interval, "duration_s", 1.0, MAX_DURATION_S, f"intervals[{n}]."),
            )
        )
    return tuple(out)


def _stretch(data: dict[str, Any], where: str) -> tuple[Commitment, float]:
    forms = [key for key in FORMS if key in data]
    if not forms:
        raise CallRefused(f"{where}limit_w is missing; write one of {', '.join(FORMS)}")
    if len(forms) > 1:
        raise CallRefused(f"{where}{forms[0]} and {forms[1]} both say what is asked for; leave one out")
    asked, least, most = FORMS[forms[0]]
    value = read_number(data, forms[0], least, most, where)
    if asked is Asked.LEVEL and not value.is_integer():
        raise CallRefused(f"{where}level is {value:g}; write a whole number from {least} to {most}")
    return Commitment(asked, value), read_number(data, "duration_s", 1.0, MAX_DURATION_S, where)


def refuse_strangers(data: Any, known: frozenset[str], where: str) -> None:
    """Refuse what is no object, or has other keys than these.

    Raises:
        CallRefused: naming the key.
    """
    if not isinstance(data, dict):
        raise CallRefused(f"{where.rstrip('.') or 'the body'}: a JSON object is expected, not {type(data).__name__}")
    strangers = sorted(map(str, set(data) - known))
    if strangers:
        raise CallRefused(f"{where}unknown key {strangers[0]!r:.80}; known are {', '.join(sorted(known))}")


def _flag(data: dict[str, Any], key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise CallRefused(f"{key} is {value!r:.40}; write true or false")
    return value


def read_number(
    data: dict[str, Any], key: str, least: float, most: float, where: str = "", *, default: float | None = None
) -> float:
    """A finite number within bounds.

    Raises:
        CallRefused: it is none, is outside, or is absent without a default.
    """
    value = data.get(key, default)
    if value is None:
        raise CallRefused(f"{where}{key} is missing; write a number from {least:g} to {most:g}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CallRefused(f"{where}{key} is {value!r:.40}; write a number from {least:g} to {most:g}")
    if not least <= value <= most:
        raise CallRefused(f"{where}{key} is {value!r:.40}, outside {least:g} to {most:g}")
    return float(value)
