"""A meter whose readings a test states as a function of time, read minute by minute."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from zoneinfo import ZoneInfo

from controller.model.meter import Mean
from controller.model.observation import Quality

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
T0 = 1_700_000_040.0
"""A whole minute."""


def at(text: str, zone: ZoneInfo = LOS_ANGELES) -> float:
    """A local time as seconds since the epoch."""
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def local(time_s: float, zone: ZoneInfo = LOS_ANGELES) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_s, zone)


def meter(power_w: Callable[[float], float | None], quality: Quality = Quality.DIRECT):
    """A `MeterReader`; a minute in which the function is None was not measured."""

    def read(from_s: float, until_s: float, step_s: float) -> tuple[Mean, ...]:
        means, start_s = [], from_s
        while start_s < until_s:
            end_s = min(start_s + step_s, until_s)
            minutes = max(1, round((end_s - start_s) / 60.0))
            each_s = (end_s - start_s) / minutes
            known = [w for n in range(minutes) if (w := power_w(start_s + (n + 0.5) * each_s)) is not None]
            mean_w = sum(known) / len(known) if known else None
            means.append(Mean(start_s, end_s, mean_w, quality if known else None, len(known) / minutes))
            start_s = end_s
        return tuple(means)

    return read
