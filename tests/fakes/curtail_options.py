"""Options of `wattroute curtail` with everything left out but how long, so that a test names only what it is about."""

from __future__ import annotations

from typing import Any

from controller.commands.curtail_request import CurtailOptions


def curtail_options(**changes: Any) -> CurtailOptions:
    plain: dict[str, Any] = dict.fromkeys(("to", "by", "level", "at", "ramp", "event_id"))
    plain |= {"duration": "30m", "programme": "operator", "is_test": False, "dry_run": False, "as_json": False}
    return CurtailOptions(**{**plain, **changes})
