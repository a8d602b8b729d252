from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.season import DAY_S, Season, slot_of, slots

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_S = 3600.0


def index_at(text, step_s=HOUR_S):
    return int(datetime.fromisoformat(text).timestamp() // step_s)


def slots_of_day(day, zone):
    """Slots of a local day's hours, in order."""
    moment = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC)
    out = []
    while moment.astimezone(zone).date().isoformat() == day:
        out.append(slot_of(Season.DAY, int(moment.timestamp() // HOUR_S), HOUR_S, zone))
        moment += timedelta(hours=1)
    return out


def test_a_season_has_a_slot_for_each_interval():
    assert slots(Season.DAY, 300.0) == 288
    assert slots(Season.DAY_TYPE, 300.0) == 576
    assert slots(Season.WEEK, 300.0) == 2016


def test_a_day_that_the_step_does_not_divide_ends_with_a_shorter_slot():
    assert slots(Season.DAY, 7 * 60.0) == 206
    assert slot_of(Season.DAY, index_at("2026-03-02T23:59:00+00:00", 420.0), 420.0, UTC) <= 205


def test_the_users_clock_counts_not_utc():
    assert slot_of(Season.DAY, index_at("2026-01-15T08:00:00+00:00"), HOUR_S, BERLIN) == 9
    assert slot_of(Season.DAY, index_at("2026-07-15T07:00:00+00:00"), HOUR_S, BERLIN) == 9


def test_an_hour_that_clocks_skip_has_no_slot_and_one_that_they_repeat_has_one_slot_twice():
    assert slots_of_day("2026-03-29", BERLIN) == [0, 1, *range(3, 24)]
    assert slots_of_day("2026-10-25", BERLIN) == [0, 1, 2, 2, *range(3, 24)]


def test_saturdays_and_sundays_are_apart_from_working_days():
    days = [f"2026-03-{day:02d}T12:00:00+00:00" for day in range(2, 9)]
    kinds = [slot_of(Season.DAY_TYPE, index_at(day), HOUR_S, UTC) // 24 for day in days]
    assert kinds == [0, 0, 0, 0, 0, 1, 1]
    weekdays = [slot_of(Season.WEEK, index_at(day), HOUR_S, UTC) // 24 for day in days]
    assert weekdays == list(range(7))


@given(
    season=st.sampled_from(Season),
    step_s=st.floats(1.0, DAY_S),
    time_s=st.floats(0.0, 4e9),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Chicago", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_every_interval_has_a_slot_of_its_season(season, step_s, time_s, zone):
    assert 0 <= slot_of(season, int(time_s // step_s), step_s, ZoneInfo(zone)) < slots(season, step_s)


@pytest.mark.parametrize("season", Season)
def test_a_season_comes_again_after_its_length(season):
    later = {Season.DAY: 24, Season.DAY_TYPE: 7 * 24, Season.WEEK: 7 * 24}[season]
    start = index_at("2026-03-03T10:00:00+00:00")
    assert slot_of(season, start, HOUR_S, UTC) == slot_of(season, start + later, HOUR_S, UTC)
