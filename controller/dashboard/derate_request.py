"""A derate as the API takes it in; pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from controller.dashboard.event_request import (
    MAX_DURATION_S,
    MAX_LIMIT_W,
    MAX_REASON,
    MAX_START_IN_S,
    read_number,
    read_time_s,
    refuse_strangers,
)
from controller.errors import CallRefused
from controller.model.derate import Derate

_KEYS = frozenset(("shed_w", "duration_s", "start", "start_in_s", "reason", "derate_id"))
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def read_derate(data: Any, taken: Collection[str], now_s: float) -> Derate:
    """Check the JSON form of a derate.

    Args:
        data: the body.
        taken: ids that one without an id may not be given.
        now_s: wall clock.

    Raises:
        CallRefused: naming the key, the value and what is expected.
    """
    refuse_strangers(data, _KEYS, "")
    reason = data.get("reason")
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= MAX_REASON:
        raise CallRefused(f"reason is {reason!r:.40}; write a text of 1 to {MAX_REASON} characters")
    derate_id = data.get("derate_id")
    if derate_id is not None and not (isinstance(derate_id, str) and _ID.fullmatch(derate_id)):
        raise CallRefused(f"derate_id {derate_id!r:.80} is not a name of 1 to 64 letters, digits, '.', '_' and '-'")
    start_s = _start_s(data, now_s)
    return Derate(
        derate_id=_free(taken, now_s) if derate_id is None else derate_id,
        shed_w=read_number(data, "shed_w", 0.0, MAX_LIMIT_W),
        start_s=start_s,
        end_s=start_s + read_number(data, "duration_s", 1.0, MAX_DURATION_S),
        reason=reason,
        made_s=now_s,
    )


def _start_s(data: dict[str, Any], now_s: float) -> float:
    if "start" in data and "start_in_s" in data:
        raise CallRefused("start and start_in_s both say when it begins; leave one out")
    if "start" not in data:
        return now_s + read_number(data, "start_in_s", 0.0, MAX_START_IN_S, default=0.0)
    start_s = read_time_s(data["start"], "start")
    if start_s > now_s + MAX_START_IN_S:
        raise CallRefused(f"start is {start_s - now_s:.0f} s ahead, more than {MAX_START_IN_S:g}")
    return start_s


def _free(taken: Collection[str], now_s: float) -> str:
    base = f"derate-{int(now_s)}"
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3))) if name not in taken)
