import pytest

from controller.model.meter import Mean, least_trusted, mean_over
from controller.model.observation import Quality

MEANS = (
    Mean(0.0, 60.0, 100.0, Quality.DIRECT, 1.0),
    Mean(60.0, 120.0, 300.0, Quality.ESTIMATED, 0.5),
    Mean(120.0, 180.0, None, None, 0.0),
)


def test_what_was_measured_counts_by_its_time():
    assert mean_over(MEANS, 0.0, 120.0) == Mean(0.0, 120.0, pytest.approx(500 / 3), Quality.ESTIMATED, 0.75)


def test_an_interval_that_only_overlaps_counts_by_its_overlap():
    assert mean_over(MEANS, 30.0, 60.0) == Mean(30.0, 60.0, 100.0, Quality.DIRECT, 1.0)


def test_missing_is_not_zero():
    assert mean_over(MEANS, 120.0, 180.0) == Mean(120.0, 180.0, None, None, 0.0)
    assert mean_over(MEANS, 0.0, 180.0).mean_w == pytest.approx(500 / 3)


def test_the_least_trusted_quality_is_that_of_the_whole():
    assert least_trusted([Quality.DIRECT, Quality.EMULATED, Quality.ESTIMATED]) is Quality.EMULATED
    assert least_trusted([]) is None
