"""The levers' table, and the promise that it is about."""

from tests.bench import levers


def test_nine_tenths_of_a_cut_of_30_percent_come_by_routing_and_sleep_within_30_s() -> None:
    site = levers.fleets()["weights, caps and sleep"]
    before_w = levers.mean(levers.played(site, ()), levers.BEGINS_S - 20, levers.BEGINS_S)
    found = levers.cut(site, 0.3, before_w)
    assert found.to_90_s is not None
    assert found.to_90_s <= 30
    assert found.reached_frac >= 0.3


def test_a_cut_that_was_never_reached_says_so() -> None:
    assert (levers.told(None), levers.told(7)) == ("never", "7 s")
