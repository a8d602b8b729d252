import pytest

from tests.fakes.problems import problem


def test_a_watt_over_an_interval_costs_energy_and_carbon():
    data = problem(carbon_usd_per_kg=0.05)
    assert data.energy_usd_per_w[0] == pytest.approx((70.0 * 60 / 3.6e9,) * 3)


def test_a_negative_price_pays():
    assert problem(price_usd_per_mwh=(-30.0,) * 3).energy_usd_per_w[0][0] < 0
