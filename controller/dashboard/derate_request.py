"""A derate as the API takes it in; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from controller.dashboard.event_request import (
    MAX_DURATION_S,
    MAX_LIMIT_W,
    MAX_REASON,
    begin_s,
    free_id,
    read_id,
    read_number,
    read_start,
    refuse_strangers,
)
from controller.errors import CallRefused
from controller.model.derate import Derate

_KEYS = frozenset(("shed_w", "duration_s", "start", "start_in_s", "reason", "derate_id"))


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
    derate_id = read_id(data, "derate_id")
    start_s = begin_s(read_start(data), now_s)
    return Derate(
        derate_id=free_id("derate", taken, now_s) if derate_id is None else derate_id,
        shed_w=read_number(data, "shed_w", 0.0, MAX_LIMIT_W),
        start_s=start_s,
        end_s=start_s + read_number(data, "duration_s", 1.0, MAX_DURATION_S),
        reason=reason,
        made_s=now_s,
    )
