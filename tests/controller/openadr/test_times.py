import contextlib
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.model.grid import FOREVER_S
from controller.openadr.times import (
    FOREVER,
    Duration,
    is_now,
    read_duration,
    read_moment,
    read_offset_s,
    write_duration,
    write_moment,
)


def utc(*moment):
    return datetime(*moment, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("2026-07-01T17:00:00Z", utc(2026, 7, 1, 17)),
        ("2026-07-01t17:00:00.250z", utc(2026, 7, 1, 17) + 0.25),
        ("2026-07-01T17:00:00.1234567Z", utc(2026, 7, 1, 17) + 0.123456),
        ("2026-07-01T19:00:00+02:00", utc(2026, 7, 1, 17)),
        ("2026-07-01 10:00:00-07:00", utc(2026, 7, 1, 17)),
    ],
)
def test_moments_are_read_whatever_their_offset(text, expected_s):
    assert read_moment(text, "start") == pytest.approx(expected_s, abs=1e-6)


def test_a_moment_without_offset_counts_in_the_programme_s_zone_and_is_refused_without_one():
    assert read_moment("2026-07-01T10:00:00", "start", -7 * 3600.0) == utc(2026, 7, 1, 17)
    with pytest.raises(MessageError, match="start: '2026-07-01T10:00:00' has no offset from UTC; write"):
        read_moment("2026-07-01T10:00:00", "start")


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-07-01", "17:00:00", "2026-13-01T00:00:00Z", "2026-07-01T24:30:00Z", "1969-12-31T00:00:00Z"),
        *("0001-01-02T00:00:00+23:59", "9999-12-31T23:59:59-23:00", "2026-W01-1T00:00:00Z", "٢٠٢٦-07-01T17:00:00Z"),
    ],
)
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(MessageError, match="start"):
        read_moment(text, "start", 0.0)


@pytest.mark.parametrize("text", ["0001-01-01", "0000-00-00", "0001-01-01T00:00:00", "0001-01-01T00:00:00.000Z"])
def test_both_words_for_now_are_known(text):
    assert is_now(text)


@pytest.mark.parametrize("text", ["0001-01-02", "2001-01-01", "0001-01-01T00:00:01Z", "0001-01-01T00:00:00+05:00"])
def test_other_moments_are_not_now(text):
    assert not is_now(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", Duration()),
        ("PT15M", Duration(900.0)),
        ("PT1H30M", Duration(5400.0)),
        ("PT0.5S", Duration(0.5)),
        ("P1DT12H", Duration(129_600.0)),
        ("P2W", Duration(1_209_600.0)),
        ("P1Y6M", Duration(0.0, 18)),
        ("P9999Y", FOREVER),
        ("P99999999999999999D", FOREVER),
    ],
)
def test_durations_are_read(text, expected):
    assert read_duration(text, "duration") == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT1", "-PT1H", "P1H", "PT1.5H", "PT1S1M", "P" + "1" * 60 + "D"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(MessageError, match="duration"):
        read_duration(text, "duration")


def test_months_follow_the_calendar():
    assert Duration(months=1).after(utc(2026, 1, 31)) == utc(2026, 2, 28)
    assert Duration(months=12).after(utc(2028, 2, 29)) == utc(2029, 2, 28)
    assert Duration(months=13, seconds=60.0).after(utc(2026, 1, 1)) == utc(2027, 2, 1) + 60
    assert Duration(months=12 * 999).after(utc(9500, 1, 1)) == FOREVER_S


def test_what_has_no_end_ends_nowhere():
    assert FOREVER.after(0.0) == FOREVER_S
    assert not FOREVER.is_zero
    assert Duration().is_zero


def test_offsets_may_be_negative_and_are_less_than_a_day():
    assert read_offset_s("-PT5H30M", "zone") == -19_800.0
    with pytest.raises(MessageError, match="zone: 'P2D' is no offset"):
        read_offset_s("P2D", "zone")


@given(st.integers(min_value=0, max_value=int(FOREVER_S) - 1), st.integers(min_value=0, max_value=999_999))
def test_moments_come_back_as_they_were_written(seconds, micros):
    time_s = seconds + micros / 1e6
    assert math.isclose(read_moment(write_moment(time_s), "x"), time_s, abs_tol=1e-5 + time_s * 1e-15)


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=999), st.integers(0, 11_000))
def test_durations_come_back_as_they_were_written(seconds, millis, months):
    duration = Duration(seconds + millis / 1000, months)
    read = read_duration(write_duration(duration), "x")
    assert read.months == months
    assert math.isclose(read.seconds, duration.seconds, abs_tol=1e-6)


@given(st.text(max_size=40))
def test_no_text_raises_anything_else(text):
    for read in (read_moment, read_duration, read_offset_s):
        with contextlib.suppress(MessageError):
            assert read(text, "x") is not None
