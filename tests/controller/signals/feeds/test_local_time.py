from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from controller.errors import SignalError
from controller.signals.feeds.local_time import LocalClock

BERLIN = ZoneInfo("Europe/Berlin")


def quarters(day: str, count: int, skip: tuple[str, ...] = ()) -> list[datetime]:
    start = datetime.fromisoformat(day)
    return [start + timedelta(minutes=15 * n) for n in range(count)]


def test_the_doubled_hour_of_autumn_is_told_apart_by_its_order():
    day = quarters("2026-10-25", 12)  # 00:00 .. 02:45
    doubled = [*day, *day[8:], *quarters("2026-10-25T03:00", 84)]
    clock = LocalClock(BERLIN, "feed")
    times = [clock.seconds(one, "time") for one in doubled]
    assert len(times) == 100
    assert {b - a for a, b in pairwise(times)} == {900.0}


def test_the_day_of_spring_has_92_quarters():
    day = [*quarters("2026-03-29", 8), *quarters("2026-03-29T03:00", 84)]
    clock = LocalClock(BERLIN, "feed")
    times = [clock.seconds(one, "time") for one in day]
    assert len(times) == 92
    assert {b - a for a, b in pairwise(times)} == {900.0}


def test_the_hour_that_spring_leaves_out_is_no_time():
    with pytest.raises(SignalError, match="clocks in Europe/Berlin left that time out"):
        LocalClock(BERLIN, "feed").seconds(datetime(2026, 3, 29, 2, 30), "time")


def test_a_time_beyond_all_calendars_is_told():
    with pytest.raises(SignalError, match="after 1970"):
        LocalClock(BERLIN, "feed").seconds(datetime.min, "time")
