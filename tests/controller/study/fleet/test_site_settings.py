from __future__ import annotations

from typing import Any

import pytest

from controller.errors import ConfigError
from tests.fakes.fleet_cases import fleet_settings, rich_document, rich_settings


def told(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        fleet_settings(**document)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("sites", 0, "battery", "capacity_kwh"), 0, r"battery.capacity_kwh"),
        (("sites", 0, "battery", "start_frac"), 0.05, "start_frac 0.05 is below min_frac 0.1"),
        (("sites", 0, "battery", "discharge_frac"), 1.2, "battery.discharge_frac"),
        (("sites", 0, "pv", "peak_kw"), -3, "pv.peak_kw"),
        (("sites", 0, "import_limit_kw"), -1, "import_limit_kw"),
        (("events", 0, "sites"), ["c"], "events: 'noon' names the site 'c'; known are a, b"),
        (("events", 0, "start"), "2022-07-12T15:00:00", "this time has no zone"),
        (("events", 0, "kind"), "emergency", "emergency"),
        (("events", 0, "reward_usd_per_mwh"), -5, "reward_usd_per_mwh"),
        (("events", 0, "commit_frac"), 2, "commit_frac"),
        (("events", 0, "limit_kw"), 5, "limit_kw"),
        (("classes", 0, "sites"), ["z"], "classes: 'exact' names the site 'z'"),
        (("classes", 0, "move_usd_per_mtoken"), 1, "move_usd_per_mtoken has no home"),
        (("classes", 2, "defer_hours"), -1, "defer_hours"),
    ],
)
def test_wrong_sites_and_events_are_told_by_place_and_value(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    document: Any = rich_document()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert message in told(document)


def test_an_event_that_lasts_longer_than_a_day_cannot_come_daily() -> None:
    document = rich_document()
    document["events"][0] |= {"hours": 30, "days": 2}
    assert "an event of 30 h cannot come every day" in told(document)


def test_a_home_out_of_reach_is_refused() -> None:
    document = rich_document()
    document["classes"][0] |= {"home": "a", "sites": ["b"], "move_usd_per_mtoken": 1}
    assert "home 'a' is none of its sites b" in told(document)


def test_event_times_are_taken_in_utc_whatever_the_clocks_do() -> None:
    document = rich_document()
    document["events"][0]["start"] = "2022-07-12T10:00:00-05:00"
    assert rich_settings(**document).events[0].start.isoformat() == "2022-07-12T15:00:00+00:00"
