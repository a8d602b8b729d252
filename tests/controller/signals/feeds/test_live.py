import logging
from dataclasses import replace

import pytest

from controller.errors import SignalError
from controller.model.observation import Missing
from controller.signals.feeds.live import Condition, LiveFeed
from controller.signals.feeds.outlook import Interval, outlook
from tests.fakes.feed_parts import NINE_S, RULES

HOUR_S = 3600.0


def told(*values: float, taken_s: float = NINE_S):
    intervals = (Interval(NINE_S + n * HOUR_S, NINE_S + (n + 1) * HOUR_S, v, taken_s) for n, v in enumerate(values))
    return outlook(intervals, "usd_per_mwh", "market", "a remark")


def feed(**rules) -> LiveFeed:
    return LiveFeed("price_usd_per_mwh", "market", replace(RULES, **rules))


def test_before_the_first_answer_it_is_missing_and_says_why():
    one = feed()
    assert "not answered yet" in one.read(NINE_S).reason
    one.fail("status 500")
    assert "status 500" in one.read(NINE_S).reason
    assert one.state(NINE_S).condition is Condition.WAITING


def test_a_silent_publisher_leaves_its_series_stale_then_missing():
    one = feed()
    one.take(told(*range(48)), NINE_S)
    for _ in range(3):
        one.fail("no answer within 15 s")
    later_s = NINE_S + 2 * HOUR_S
    assert one.read(later_s).at(later_s) == 2
    state = one.state(later_s)
    assert (state.condition, state.age_s, state.errors, state.error) == (
        Condition.STALE,
        2 * HOUR_S,
        3,
        "no answer within 15 s",
    )
    assert state.ends_s == NINE_S + 48 * HOUR_S
    day_s = NINE_S + 24 * HOUR_S
    missing = one.read(day_s)
    assert isinstance(missing, Missing)
    assert "last answer 86400 s ago; since then: no answer" in missing.reason
    assert (one.state(day_s).condition, one.state(day_s).ends_s) == (Condition.EXPIRED, None)


def test_after_its_end_nothing_is_known_however_young_the_answer():
    one = feed()
    one.take(told(5.0), NINE_S)
    one.take(told(5.0), NINE_S + HOUR_S - 1)
    missing = one.read(NINE_S + HOUR_S)
    assert isinstance(missing, Missing)
    assert "nothing is told of 2026-03-29T10:00Z" in missing.reason


def test_an_insane_value_is_refused_and_what_was_known_stays():
    one = feed()
    one.take(told(50.0, 60.0), NINE_S)
    with pytest.raises(SignalError, match=r"50000 usd_per_mwh from 2026-03-29T10:00Z on is not within -5000 .. 20000"):
        one.take(told(50.0, 50_000.0), NINE_S + 60)
    assert one.read(NINE_S).values == (50.0, 60.0)


def test_a_negative_price_is_none_of_them():
    one = feed()
    one.take(told(-500.0), NINE_S)
    assert one.read(NINE_S).at(NINE_S) == -500.0


def test_beginning_and_end_of_trouble_are_logged_once(caplog):
    caplog.set_level(logging.INFO)
    one = feed()
    one.take(told(*range(40)), NINE_S)
    one.read(NINE_S)
    for _ in range(3):
        one.fail("status 500")
        one.read(NINE_S + 2 * HOUR_S)
    one.take(told(*range(40)), NINE_S + 2 * HOUR_S)
    one.read(NINE_S + 2 * HOUR_S)
    assert [(r.message, getattr(r, "condition", "")) for r in caplog.records] == [
        ("feed changed", "fresh"),
        ("feed failed", ""),
        ("feed changed", "stale"),
        ("feed is back", ""),
        ("feed changed", "fresh"),
    ]


def test_no_more_is_handed_out_than_the_plan_looks_ahead():
    one = LiveFeed("price_usd_per_mwh", "market", RULES, lookahead_s=2 * HOUR_S)
    one.take(told(*range(40)), NINE_S)
    assert one.read(NINE_S + 60).values == (0, 1, 2)
    assert one.state(NINE_S).ends_s == NINE_S + 40 * HOUR_S


def test_the_state_tells_gap_and_remark():
    one = feed()
    gap = outlook(
        [Interval(NINE_S, NINE_S + 60, 1.0, 0), Interval(NINE_S + 120, NINE_S + 180, 1.0, 0)], "x", "market", "r"
    )
    one.take(gap, NINE_S)
    assert one.state(NINE_S).gap_s == (NINE_S + 60, NINE_S + 120)
    assert one.state(NINE_S).remark == "r"


def test_a_clock_that_was_set_back_makes_no_answer_older_than_new():
    one = feed()
    one.take(told(5.0), NINE_S)
    assert one.state(NINE_S - 3600).age_s == 0.0


def test_a_publisher_that_is_silent_since_the_clock_was_set_back_is_stale_in_time():
    one = feed()
    one.take(told(*range(48)), NINE_S + HOUR_S)
    assert one.read(NINE_S).at(NINE_S) == 0
    one.read(NINE_S + 2 * HOUR_S)
    state = one.state(NINE_S + 2 * HOUR_S)
    assert (state.condition, state.age_s) == (Condition.STALE, 2 * HOUR_S)
