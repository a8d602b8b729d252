import pytest

from controller.model.observation import Quality
from controller.model.programme import BaselineMethod
from controller.settlement.baseline_profile import MAX_INTERVALS, Baseline, BaselineInterval, grid_of, mean_of

INTERVALS = (
    BaselineInterval(0.0, 300.0, 100.0),
    BaselineInterval(300.0, 600.0, 200.0),
    BaselineInterval(600.0, 900.0, None),
)
PROFILE = Baseline(BaselineMethod.TEN_OF_TEN, BaselineMethod.TEN_OF_TEN, "", INTERVALS, 150.0, Quality.DIRECT)


def test_a_grid_ends_with_the_event():
    assert grid_of(10.0, 620.0, 300.0) == ((10.0, 310.0), (310.0, 610.0), (610.0, 620.0))


def test_an_event_without_end_has_a_bounded_grid():
    assert len(grid_of(0.0, 253_402_300_800.0, 300.0)) == MAX_INTERVALS


def test_a_profile_is_read_at_a_time_and_over_a_stretch():
    assert [PROFILE.at(time_s) for time_s in (-1.0, 0.0, 299.0, 300.0, 700.0, 900.0)] == [
        None,
        100,
        100,
        200,
        None,
        None,
    ]
    assert PROFILE.over(150.0, 600.0) == pytest.approx((150 * 100 + 300 * 200) / 450)


def test_a_stretch_that_is_not_known_in_whole_has_no_mean():
    assert PROFILE.over(300.0, 900.0) is None
    assert PROFILE.over(-60.0, 300.0) is None


def test_the_mean_is_of_what_is_known():
    assert mean_of(INTERVALS) == 150.0
    assert mean_of(INTERVALS[2:]) is None
