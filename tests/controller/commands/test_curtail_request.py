from datetime import UTC, datetime, timedelta

import pytest

from controller.commands.curtail_request import request_of, seconds, start_of, watts
from controller.errors import ConfigError
from tests.fakes.curtail_options import curtail_options

NOW = datetime(2026, 7, 14, 16, 30, tzinfo=UTC)


@pytest.mark.parametrize(("text", "value"), [("40kW", 4e4), ("0.04 MW", 4e4), ("800W", 800.0)])
def test_power_with_its_unit(text, value):
    assert watts(text, "--to") == pytest.approx(value)


@pytest.mark.parametrize("text", ["40", "40 kw", "-4kW", "4kWh", "1e3W", ""])
def test_power_without_one_is_refused(text):
    with pytest.raises(ConfigError, match=r"--to .* is no power; write it with its unit"):
        watts(text, "--to")


@pytest.mark.parametrize(
    ("text", "value"), [("30m", 1800.0), ("1h30m", 5400.0), ("90s", 90.0), ("2d", 172_800.0), ("0.5h", 1800.0)]
)
def test_durations(text, value):
    assert seconds(text, "--for") == value


@pytest.mark.parametrize("text", ["30", "m", "", "0m", "-5m", "30 minutes", "5s3m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match=r"--for .* is no duration"):
        seconds(text, "--for")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("17:00", NOW.replace(hour=17, minute=0)),
        ("16:30", NOW + timedelta(days=1)),
        ("09:15", NOW.replace(day=15, hour=9, minute=15)),
        ("2026-07-15T08:00:00+02:00", datetime(2026, 7, 15, 6, tzinfo=UTC)),
        ("2026-07-14T18:00", NOW.replace(hour=18, minute=0)),
    ],
)
def test_the_start_on_the_operators_clock(text, start):
    assert start_of(text, NOW) == start


@pytest.mark.parametrize(("text", "problem"), [("25:00", "is no time"), ("soon", "is no time"), ("2020-01-01", "ago")])
def test_a_start_that_is_none(text, problem):
    with pytest.raises(ConfigError, match=problem):
        start_of(text, NOW)


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"to": "40kW"}, {"limit_w": 4e4}),
        ({"by": "25%"}, {"below_baseline_frac": 0.25}),
        ({"by": "10kW"}, {"below_baseline_w": 1e4}),
        ({"level": 2, "programme": "dr"}, {"level": 2, "programme": "dr"}),
        ({"level": 0}, {"level": 0}),
        ({"to": "1kW", "ramp": "5m"}, {"limit_w": 1e3, "ramp_s": 300.0}),
        ({"to": "1kW", "at": "17:00"}, {"limit_w": 1e3, "start": "2026-07-14T17:00:00+00:00"}),
        ({"to": "1kW", "is_test": True}, {"limit_w": 1e3, "is_test": True}),
        ({"to": "1kW", "dry_run": True, "event_id": "e"}, {"limit_w": 1e3, "dry_run": True, "event_id": "e"}),
    ],
)  # fmt: skip
def test_what_is_sent(changes, body):
    assert request_of(curtail_options(**changes), NOW) == {"duration_s": 1800.0, "programme": "operator", **body}


@pytest.mark.parametrize("changes", [{}, {"to": "1kW", "by": "5%"}, {"to": "1kW", "level": 0}, {"by": "125%"}])
def test_contradictions_are_refused(changes):
    with pytest.raises(ConfigError, match=r"say once how far|more than everything"):
        request_of(curtail_options(**changes), NOW)
