"""Derates as the API tells them; pure."""

from __future__ import annotations

from typing import Any

from controller.model.derate import Derate


def derate_json(derate: Derate, now_s: float) -> dict[str, Any]:
    """A derate with its state."""
    return {
        "derate_id": derate.derate_id,
        "state": "active" if derate.holds(now_s) else "pending",
        "shed_w": derate.shed_w,
        "start_s": derate.start_s,
        "end_s": derate.end_s,
        "reason": derate.reason,
        "made_s": derate.made_s,
        "source": derate.source,
    }
