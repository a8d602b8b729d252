import datetime
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.store.interval_csv import IntervalLayout, MeterUnit, parse, parse_values
from tests.fakes.metered import LOS_ANGELES, at

NOW_S = at("2026-12-01T00:00")


def layout(unit=MeterUnit.KWH, zone=LOS_ANGELES, **more):
    return IntervalLayout("time", "use", unit, zone, **more)


def read(*rows, asked=None, head="time,use"):
    return parse([f"{head}\n", *(f"{row}\n" for row in rows)], asked or layout(), NOW_S)


def test_energy_of_an_interval_becomes_power():
    data = read("2026-08-14T17:00,25", "2026-08-14T17:15,30")
    assert data.intervals == (
        (at("2026-08-14T17:00"), at("2026-08-14T17:15"), 100e3),
        (at("2026-08-14T17:15"), at("2026-08-14T17:30"), 120e3),
    )


@pytest.mark.parametrize(
    ("unit", "watts"),
    [("W", 8.0), ("kW", 8e3), ("MW", 8e6), ("Wh", 32.0), ("kWh", 32e3), ("MWh", 32e6)],
)
def test_every_unit_comes_to_watts(unit, watts):
    data = read("2026-08-14T17:00,8", asked=layout(MeterUnit(unit), interval_s=900.0))
    assert data.intervals[0][2] == pytest.approx(watts)


def test_times_may_be_those_of_the_intervals_ends():
    data = read("2026-08-14T17:15,1", "2026-08-14T17:30,1", asked=layout(is_end=True))
    assert data.intervals[0][:2] == (at("2026-08-14T17:00"), at("2026-08-14T17:15"))


def test_a_time_with_a_zone_needs_none_and_one_without_is_refused():
    assert read("2026-08-15T00:00Z,1", "2026-08-15T00:15+00:00,1", asked=layout(zone=None)).intervals[0][0] == at(
        "2026-08-14T17:00"
    )
    with pytest.raises(ConfigError, match=r"line 2: '2026-08-14T17:00' has no time zone; name it, e.g. --timezone"):
        read("2026-08-14T17:00,1", asked=layout(zone=None))


def test_the_hour_that_comes_twice_is_read_in_the_order_of_the_file():
    quarters = ("00:45", "01:00", "01:15", "01:30", "01:45", "01:00", "01:15", "01:30", "01:45", "02:00")
    data = read(*(f"2026-11-01T{clock},{n}" for n, clock in enumerate(quarters)), asked=layout(MeterUnit.KW))
    assert [watts for *_, watts in data.intervals] == [n * 1e3 for n in range(10)]
    assert data.intervals[-1][0] - data.intervals[0][0] == 9 * 900


def test_half_of_an_hour_that_comes_twice_is_left_out_and_told():
    data = read("2026-11-01T00:30,1", "2026-11-01T00:45,1", "2026-11-01T01:00,1", "2026-11-01T02:00,1")
    assert (len(data.intervals), data.ambiguous) == (3, 1)


def test_a_time_that_the_clock_does_not_show_is_refused():
    with pytest.raises(ConfigError, match=r"line 2: the clock of America/Los_Angeles does not show 2026-03-08 02:30"):
        read("2026-03-08T02:30,1")


def test_an_interval_may_end_where_the_clock_is_set_on():
    data = read("2026-03-08T01:45,1", "2026-03-08T02:00,1", "2026-03-08T03:15,1", asked=layout(is_end=True))
    assert data.intervals[-1][1] - data.intervals[0][0] == 3 * 900


def test_blanks_are_gaps_and_rows_that_are_there_twice_count_once():
    data = read(
        "2026-08-14T17:00,1",
        "2026-08-14T17:15,",
        "2026-08-14T17:30,1",
        "2026-08-14T17:30,1",
        "2026-08-14T17:45,NaN",
        asked=layout(interval_s=900.0),
    )
    assert (len(data.intervals), data.blank, data.repeated) == (2, 2, 1)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            ["2026-08-14T17:00,1", "2026-08-14T17:15,1", "2026-08-14T17:15,2"],
            "line 4: another value for the time of line 3",
        ),
        (["2026-08-14T17:00,1;5", "2026-08-14T17:15,1"], "line 2: '1;5' is no number"),
        (["14.08.2026 17:00,1"], "line 2: '14.08.2026 17:00' is no time; write ISO 8601"),
        (["2026-08-14T17:00,1"], "one row tells no interval"),
        (["2026-08-14T17:00:30,1", "2026-08-14T17:15:30,1"], "does not begin at a whole minute"),
        (["2026-08-14T17:00:00,1", "2026-08-14T17:00:30,1"], "an interval of 30 s"),
        (["2027-08-14T17:00,1", "2027-08-14T17:15,1"], "line 2: ends in the future"),
        (["2026-08-14T17:00,1e12", "2026-08-14T17:15,1"], "is not a site's power; see the unit"),
        (["2026-08-14T17:00,", "2026-08-14T17:15,"], "no row has a value in 'use'"),
        (
            ["2026-08-14T17:00,1", "2026-08-14T17:15,1", "2026-08-14T17:30,1", "2026-08-14T17:35,1"],
            "begins within the 900 s of line 4",
        ),
    ],
)
def test_what_means_nothing_is_refused_with_its_line(rows, told):
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        read(*rows)


def test_a_column_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ConfigError, match=r"no column is called 'use'; there are 'time', 'kW'"):
        read("2026-08-14T17:00,1", head="time,kW")
    with pytest.raises(ConfigError, match="there are none"):
        parse([], layout(), NOW_S)


STAMPS = st.datetimes(min_value=datetime.datetime(1, 1, 1), max_value=datetime.datetime(9999, 12, 31)).map(str)
FIELDS = st.one_of(st.text(max_size=30), STAMPS, st.floats().map(str), st.integers().map(str))
ROWS = st.lists(st.tuples(FIELDS, FIELDS), max_size=20)


@given(ROWS, st.booleans(), st.sampled_from([None, 60.0, 900.0]), st.sampled_from(list(MeterUnit)))
def test_nonsense_is_refused_or_read_and_never_more(rows, is_end, interval_s, unit):
    lines = ["time,use\n", *(f"{time},{value}\n" for time, value in rows)]
    try:
        data = parse(lines, layout(unit, is_end=is_end, interval_s=interval_s), NOW_S)
    except ConfigError:
        return
    for (start_s, end_s, watts), after in itertools.pairwise([*data.intervals, (NOW_S, NOW_S, 0.0)]):
        assert 0.0 <= start_s < end_s <= after[0]
        assert math.isfinite(watts)


@pytest.mark.parametrize(
    "lines", [["time,use\n", '"' + "x" * 200_000 + '",1\n'], ["time,use\n", "a\0b,1\n"], ["time,use\n", '1,"a\n']]
)
def test_a_line_that_is_no_csv_is_refused(lines):
    with pytest.raises(ConfigError, match="line"):
        parse(lines, layout(), NOW_S)


def test_values_of_any_kind_may_lie_in_the_future_and_below_zero():
    lines = ["time,use\n", "2030-08-14T18:00,-3.5\n", "2030-08-14T17:00,2\n", "2030-08-14T19:00,n/a\n"]
    assert parse_values(lines, layout()) == ((at("2030-08-14T17:00"), 2.0), (at("2030-08-14T18:00"), -3.5))
    with pytest.raises(ConfigError, match="no column is called 'degc'"):
        parse_values(lines, IntervalLayout("time", "degc", MeterUnit.W, LOS_ANGELES))
