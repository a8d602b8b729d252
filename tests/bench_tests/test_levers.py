"""The levers' table, and the promise that it is about."""

from tests.bench import levers


def test_nine_tenths_of_a_cut_of_30_percent_come_by_routing_and_sleep_within_30_s() -> None:
    site = levers.fleets()["engines that sleep"]
    before_w = levers.before_w(site)
    found = levers.cut(site, 0.3, before_w)
    assert found.to_90_s is not None
    assert found.to_90_s <= 30
    assert found.reached_frac >= 0.3


def test_a_limit_that_outranks_the_classes_is_kept_where_every_instance_is_kept_serving() -> None:
    site = levers.fleets()["every instance kept serving"]
    found = levers.cut(site, 0.2, levers.before_w(site))
    assert found.reached_frac >= 0.2
    assert found.served_frac < 1.0


def test_a_cut_that_was_never_reached_says_so() -> None:
    assert (levers.told(None), levers.told(7)) == ("never", "7 s")
