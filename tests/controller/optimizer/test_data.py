import pytest

from tests.fakes.problems import pool_data, problem


def test_a_watt_over_an_interval_costs_energy_and_carbon():
    data = problem(carbon_usd_per_kg=0.05)
    assert data.energy_usd_per_w[0] == pytest.approx((70.0 * 60 / 3.6e9,) * 3)


def test_a_negative_price_pays():
    assert problem(price_usd_per_mwh=(-30.0,) * 3).energy_usd_per_w[0][0] < 0


def test_what_is_held_neither_falls_asleep_nor_stops():
    data = problem(may_stop=True)
    free, held = pool_data("free"), pool_data("held", is_held=True, may_stop=True)
    assert [pool.most_sleeping for pool in (free, held)] == [3, 2]
    assert [data.stops_in(pool) for pool in (free, held)] == [True, False]
    assert pool_data("awake", may_sleep=False).most_sleeping == 2
