"""The standard's types of event payloads (OpenADR 3.1.0 Definition, table 1), by which metrics are labelled."""

from __future__ import annotations

_CAPACITY = (
    f"{way}_CAPACITY_{what}"
    for way in ("IMPORT", "EXPORT")
    for what in ("SUBSCRIPTION", "RESERVATION", "RESERVATION_FEE", "AVAILABLE", "AVAILABLE_PRICE", "LIMIT")
)
_ALERTS = (
    f"ALERT_{kind}"
    for kind in (
        "GRID_EMERGENCY",
        "BLACK_START",
        "POSSIBLE_OUTAGE",
        "FLEX_ALERT",
        "FIRE",
        "FREEZING",
        "WIND",
        "TSUNAMI",
        "AIR_QUALITY",
        "OTHER",
    )
)
EVENT_PAYLOADS = frozenset(
    (
        "SIMPLE",
        "PRICE",
        "PRICE_ALTERNATE",
        "EXPORT_PRICE",
        "GHG",
        "CHARGE_STATE_SETPOINT",
        "DISPATCH_SETPOINT",
        "DISPATCH_SETPOINT_RELATIVE",
        "DISPATCH_INSTRUCTION",
        "CONTROL_SETPOINT",
        "CONTROL_LEVEL_OFFSET",
        "CONTROL_LEVEL_OFFSET_PERCENT",
        "CURVE",
        "OLS",
        "CTA2045_REBOOT",
        "CTA2045_SET_OVERRIDE_STATUS",
        *_CAPACITY,
        *_ALERTS,
    )
)
OTHER = "other"
