from controller.model.grid import SeriesQuality
from controller.signals.feeds.feed import AbsentFeed, ConstantFeed
from tests.fakes.controller_parts import NOW_S


def test_a_constant_holds_and_says_that_it_is_one():
    series = ConstantFeed(50.0, "usd_per_mwh").read(NOW_S)
    assert series.at(NOW_S + 3600) == 50.0
    assert series.quality is SeriesQuality.CONSTANT


def test_an_absent_feed_names_what_to_configure():
    assert "signals.carbon_kg_per_mwh" in AbsentFeed("carbon_kg_per_mwh").read(NOW_S).reason
