"""Which place of a day or a week an interval falls on, by the users' clock.

Intervals are aligned to the epoch and numbered, ``index = floor(time_s / step_s)``. On the day on which clocks are put
back, an hour's slots come twice; on the day on which they are put forward, an hour's slots do not come at all.
"""

from __future__ import annotations

import math
from datetime import datetime, tzinfo
from enum import StrEnum

DAY_S = 86_400.0
SATURDAY = 5


class Season(StrEnum):
    """What repeats.

    Attributes:
        DAY: every day is like the one before.
        DAY_TYPE: working days are alike, and so are Saturdays and Sundays.
        WEEK: every week is like the one before.
    """

    DAY = "day"
    DAY_TYPE = "day_type"
    WEEK = "week"


_DAYS = {Season.DAY: 1, Season.DAY_TYPE: 2, Season.WEEK: 7}


def slots(season: Season, step_s: float) -> int:
    """Slots of a season; the last one of a day is shorter where `step_s` does not divide the day."""
    return _DAYS[season] * math.ceil(DAY_S / step_s)


def slot_of(season: Season, index: int, step_s: float, zone: tzinfo) -> int:
    """Slot of an interval, by the local time at which it begins; in [0, slots)."""
    local = datetime.fromtimestamp(index * step_s, zone)
    since_midnight_s = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond * 1e-6
    slot = int(since_midnight_s // step_s)
    day_slots = math.ceil(DAY_S / step_s)
    if season is Season.DAY:
        return slot
    day = local.weekday()
    return (day if season is Season.WEEK else int(day >= SATURDAY)) * day_slots + slot
