import pytest

from controller.optimizer.terms.energy import energy_cost
from tests.fakes.problems import battery_data, problem, steady
from tests.fakes.terms import Desk, golden, planned


def test_energy_costs_its_price_and_its_carbon():
    data = problem(price_usd_per_mwh=(50.0, 100.0, -20.0), carbon_usd_per_kg=0.1)
    desk = Desk(data, site_w=[[3600.0, 3600.0, 3600.0]])
    mwh = 3600 * 60 / 3.6e9
    assert desk.cost(energy_cost) == pytest.approx(mwh * (50 + 100 - 20 + 3 * 0.1 * 400) * 1e6)
    assert desk.is_dpp_cost(energy_cost)


@golden(energy_cost)
def test_energy_is_bought_where_it_is_cheap():
    # 1,548 W are taken throughout; a kilowatt-hour stored in the first hour comes out at 500 W in the other two.
    plan = planned(steady(battery=battery_data(), price_usd_per_mwh=(20.0, 100.0, 50.0)))
    assert plan.sites[0].import_w == pytest.approx((2548.0, 1048.0, 1048.0))
    assert plan.cost_usd == pytest.approx((2548 * 20 + 1048 * 100 + 1048 * 50) * 1e-6)
