import math

import pytest

from controller.model.grid import GridEvent, Series, firm_limit_at, limit_at, released_s
from router.contract import EventState

SERIES = Series((0.0, 60.0), (10.0, 20.0), 100.0, "usd_per_mwh", "feed")
EVENT = GridEvent("e", 5000.0, 100.0, 200.0, 50.0)


@pytest.mark.parametrize(
    ("time_s", "value"), [(-1.0, None), (0.0, 10.0), (59.9, 10.0), (60.0, 20.0), (99.9, 20.0), (100.0, None)]
)
def test_a_series_holds_each_value_until_the_next(time_s, value):
    assert SERIES.at(time_s) == value


@pytest.mark.parametrize(
    ("starts", "values", "end_s"),
    [((), (), 1.0), ((0.0,), (1.0, 2.0), 5.0), ((1.0, 1.0), (1.0, 2.0), 5.0), ((0.0,), (1.0,), 0.0)],
)
def test_anything_else_is_no_series(starts, values, end_s):
    with pytest.raises(ValueError, match="feed"):
        Series(starts, values, end_s, "usd_per_mwh", "feed")


@pytest.mark.parametrize(
    ("now_s", "state"),
    [(60.0, EventState.PENDING), (100.0, EventState.ACTIVE), (199.9, EventState.ACTIVE), (200.0, None)],
)
def test_an_event_is_pending_then_active_then_over(now_s, state):
    assert EVENT.state(now_s) is state


def test_the_most_restrictive_limit_wins():
    tighter = GridEvent("f", 3000.0, 150.0, 250.0, 50.0)
    assert limit_at((EVENT, tighter), None, 120.0) == 5000.0
    assert limit_at((EVENT, tighter), None, 160.0) == 3000.0
    assert limit_at((EVENT, tighter), 2000.0, 160.0) == 2000.0
    assert limit_at((EVENT, tighter), None, 300.0) is None


def test_a_limit_is_firm_once_its_ramp_is_over_or_will_be():
    assert EVENT.ramp_s == 30.0
    assert firm_limit_at((EVENT,), None, 129.0) is None
    assert firm_limit_at((EVENT,), None, 130.0) == 5000.0
    assert firm_limit_at((EVENT,), None, 115.0, lead_s=15.0) == 5000.0
    assert firm_limit_at((EVENT,), None, 200.0) is None
    assert firm_limit_at((EVENT,), 9000.0, 110.0) == 9000.0, "a standing limit has no ramp"


def test_the_latest_event_of_a_span_ends_the_least_up_time_of_what_came_before_it() -> None:
    events = tuple(GridEvent(f"e{start_s:g}", 9.0, start_s, start_s + 100.0, 0.0) for start_s in (0.0, 150.0, 900.0))
    assert released_s(events, 50.0, 50.0) == 0.0
    assert released_s(events, 100.0, 100.0) == -math.inf
    assert released_s(events, 100.0, 150.0) == 150.0
    assert released_s(events, 50.0, 1000.0) == 900.0
