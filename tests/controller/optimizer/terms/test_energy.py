import pytest

from controller.optimizer.terms.energy import energy_cost
from tests.fakes.problems import problem
from tests.fakes.terms import Desk


def test_energy_costs_its_price_and_its_carbon():
    data = problem(price_usd_per_mwh=(50.0, 100.0, -20.0), carbon_usd_per_kg=0.1)
    desk = Desk(data, site_w=[[3600.0, 3600.0, 3600.0]])
    mwh = 3600 * 60 / 3.6e9
    assert desk.cost(energy_cost) == pytest.approx(mwh * (50 + 100 - 20 + 3 * 0.1 * 400) * 1e6)
    assert desk.is_dpp_cost(energy_cost)
