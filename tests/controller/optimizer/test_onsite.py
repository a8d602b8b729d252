import pytest

from controller.optimizer.onsite import (
    Flows,
    final_target_wh,
    flows_by_rule,
    imports_w,
    no_flows,
    now_wh,
    reward_usd,
    short_usd_per_wh,
    soc_wh,
    stored_wh_per_w,
    taken_wh_per_w,
    wear_usd,
)
from tests.fakes.problems import battery_data, response_data, steady

LOSSY = battery_data(charge_frac=0.9, discharge_frac=0.8)
LOAD_W = ((1548.0,) * 3,)


def test_the_grid_gives_what_is_left():
    flows = Flows(((500.0,) * 3,), ((0.0, 100.0, 0.0),), ((0.0, 0.0, 48.0),))
    assert imports_w(LOAD_W, flows) == (pytest.approx((1048.0, 1148.0, 1000.0)),)
    assert imports_w(LOAD_W, no_flows(LOAD_W)) == LOAD_W


def test_a_battery_loses_on_the_way_in_and_out():
    assert soc_wh(LOSSY, 3600.0, (1000.0, 0.0), (0.0, 400.0)) == pytest.approx((0.0, 900.0, 400.0))
    assert now_wh(battery_data(soc_wh=-1e-4)) == 0.0
    assert stored_wh_per_w(LOSSY, 900.0) == pytest.approx(0.225)
    assert taken_wh_per_w(LOSSY, 900.0) == pytest.approx(0.3125)


def test_without_a_plan_photovoltaics_serve_the_load_and_the_battery_the_limit():
    battery = battery_data(soc_wh=700.0)
    data = steady(battery=battery, pv_w=(2000.0, 0.0, 0.0), limit_w=(1000.0, 1048.0, 1048.0))
    flows = flows_by_rule(data, LOAD_W)
    assert flows.pv_w == ((1548.0, 0.0, 0.0),)
    assert flows.discharge_w == (pytest.approx((0.0, 500.0, 200.0)),)
    assert flows_by_rule(steady(), LOAD_W) == no_flows(LOAD_W)


def test_a_final_charge_is_asked_for_as_far_as_it_can_be_reached():
    assert final_target_wh(battery_data(final_wh=600.0), steady()) == 600.0
    assert final_target_wh(battery_data(final_wh=5000.0), steady()) == 1000.0
    assert final_target_wh(battery_data(final_wh=600.0, charge_w=100.0, soc_wh=50.0), steady()) == 350.0


def test_a_missing_charge_costs_twice_what_it_could_earn():
    worn = battery_data(wear_usd_per_mwh=20.0, charge_frac=0.5)
    assert short_usd_per_wh(steady(battery=worn), 0) == pytest.approx(2 * 70e-6 / 0.5)
    assert short_usd_per_wh(steady(battery=worn, response=response_data()), 0) == pytest.approx(2 * 170e-6 / 0.5)
    assert short_usd_per_wh(steady(), 0) == 0.0
    assert short_usd_per_wh(steady(battery=battery_data(), price_usd_per_mwh=(0.0,) * 3), 0) > 0


def test_wear_is_paid_for_both_ways():
    flows = Flows(((0.0,) * 3,), ((500.0, 0.0, 0.0),), ((0.0, 250.0, 0.0),))
    assert wear_usd(steady(battery=battery_data(wear_usd_per_mwh=20.0)), flows) == pytest.approx(750e-6 * 20)
    assert wear_usd(steady(), flows) == 0.0


@pytest.mark.parametrize(("drawn_w", "usd"), [(1400.0, 0.01), (1000.0, 0.03), (1700.0, -0.02)])
def test_a_programme_pays_by_what_is_drawn_during_its_events(drawn_w, usd):
    assert reward_usd(steady(response=response_data()), ((drawn_w,) * 3,)) == pytest.approx(usd)
