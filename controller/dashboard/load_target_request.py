"""Load targets as the API takes them in: one, or a schedule of several; pure."""

from __future__ import annotations

from typing import Any

from controller.dashboard.event_request import MAX_LIMIT_W, read_number, read_time_s, refuse_strangers
from controller.errors import CallRefused
from controller.grid.load_target import MAX_TARGETS, Target
from controller.model.grid import FOREVER_S

MAX_AHEAD_S = 400 * 86_400.0
MAX_CORRELATION_ID = 128
_KEYS = frozenset(("target_w", "start", "start_in_s", "end", "duration_s", "correlation_id"))


def read_target(data: Any, now_s: float, where: str = "") -> Target:
    """Check the JSON form of a target.

    Raises:
        CallRefused: naming the key, the value and what is expected.
    """
    refuse_strangers(data, _KEYS, where)
    if "target_w" not in data:
        raise CallRefused(f"{where}target_w is missing; write W, or null to go back to the default")
    for one, other in (("start", "start_in_s"), ("end", "duration_s")):
        if one in data and other in data:
            raise CallRefused(f"{where}{one} and {other} say the same; leave one out")
    value_w = None if data["target_w"] is None else read_number(data, "target_w", 0.0, MAX_LIMIT_W, where)
    start_s = now_s + read_number(data, "start_in_s", 0.0, MAX_AHEAD_S, where, default=0.0)
    if "start" in data:
        start_s = max(now_s, read_time_s(data["start"], f"{where}start"))
    end_s = _end_s(data, start_s, where)
    if not now_s < end_s or not start_s < end_s:
        raise CallRefused(f"{where}end is over, or not after the start; write a later one")
    return Target(start_s, min(end_s, FOREVER_S), value_w, _correlation_id(data, where))


def read_schedule(data: Any, now_s: float) -> tuple[Target, ...]:
    """Check the JSON form of a schedule.

    Raises:
        CallRefused: naming the place, the value and what is expected.
    """
    refuse_strangers(data, frozenset(("targets",)), "")
    targets = data.get("targets")
    if not isinstance(targets, list) or len(targets) > MAX_TARGETS:
        raise CallRefused(f"targets is {targets!r:.40}; write a list of at most {MAX_TARGETS} targets")
    return tuple(read_target(each, now_s, f"targets[{n}].") for n, each in enumerate(targets))


def _end_s(data: dict[str, Any], start_s: float, where: str) -> float:
    if data.get("end") is not None:
        return read_time_s(data["end"], f"{where}end")
    if data.get("duration_s") is not None:
        return start_s + read_number(data, "duration_s", 1.0, MAX_AHEAD_S, where)
    return FOREVER_S


def _correlation_id(data: dict[str, Any], where: str) -> str | None:
    value = data.get("correlation_id")
    if value is None:
        return None
    if not (isinstance(value, str) and 0 < len(value) <= MAX_CORRELATION_ID and value.isprintable()):
        raise CallRefused(
            f"{where}correlation_id is {value!r:.80}; write 1 to {MAX_CORRELATION_ID} printable characters"
        )
    return value
