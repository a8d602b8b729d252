import pytest

from controller.optimizer.terms.assets import asset_cost, battery_power, final_charge, power_balance, stored_energy
from tests.fakes.problems import battery_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = steady(pv_w=(2000.0, 0.0, 500.0), battery=battery_data(charge_frac=0.9, discharge_frac=0.8))
SITE_W = 1548.0


def test_what_comes_in_is_what_is_taken():
    sound = {"site_w": SITE_W, "pv_used_w": [[1548.0, 0.0, 500.0]], "discharge_w": [[0.0, 48.0, 0.0]]}
    assert Desk(DATA, **sound, import_w=[[0.0, 1500.0, 1048.0]]).violation(power_balance) == pytest.approx(0.0)
    assert Desk(DATA, **sound, import_w=[[0.0, 1400.0, 1048.0]]).violation(power_balance) == pytest.approx(100.0)
    assert Desk(DATA).is_dpp(power_balance)


def test_no_more_photovoltaics_than_there_is():
    over = Desk(DATA, site_w=SITE_W, pv_used_w=600.0, import_w=SITE_W - 600.0)
    assert over.violation(power_balance) == pytest.approx(600.0)


def test_a_battery_has_its_power_and_shares_it_between_charging_and_discharging():
    assert Desk(DATA, charge_w=1000.0).violation(battery_power) == pytest.approx(0.0)
    assert Desk(DATA, charge_w=500.0, discharge_w=250.0).violation(battery_power) == pytest.approx(0.0)
    assert Desk(DATA, discharge_w=600.0).violation(battery_power) == pytest.approx(100.0)
    assert Desk(DATA, charge_w=1000.0, discharge_w=500.0).violation(battery_power) == pytest.approx(1.0)
    assert Desk(DATA).is_dpp(battery_power)


def test_a_site_without_a_battery_cannot_charge():
    bare = steady(pv_w=(1.0,) * 3)
    assert Desk(bare, charge_w=10.0).violation(battery_power) == pytest.approx(10.0)


def test_what_is_stored_follows_from_what_goes_in_and_out():
    flows = {"charge_w": [[1000.0, 0.0, 0.0]], "discharge_w": [[0.0, 400.0, 0.0]]}
    assert Desk(DATA, **flows, soc_wh=[[0.0, 900.0, 400.0, 400.0]]).violation(stored_energy) == pytest.approx(0.0)
    assert Desk(DATA, **flows, soc_wh=[[0.0, 900.0, 500.0, 500.0]]).violation(stored_energy) == pytest.approx(100.0)
    full = {"charge_w": [[1000.0, 1000.0, 0.0]], "soc_wh": [[0.0, 900.0, 1800.0, 1800.0]]}
    assert Desk(DATA, **full).violation(stored_energy) == pytest.approx(800.0)
    assert Desk(DATA).is_dpp(stored_energy)


def test_a_battery_is_handed_on_as_full_as_can_be_reached():
    wished = steady(battery=battery_data(final_wh=800.0))
    assert Desk(wished, soc_wh=800.0).violation(final_charge) == pytest.approx(0.0)
    assert Desk(wished, soc_wh=700.0).violation(final_charge) == pytest.approx(100.0)
    assert Desk(wished, soc_wh=700.0, short_wh=100.0).violation(final_charge) == pytest.approx(0.0)
    assert Desk(wished).is_dpp(final_charge)
    slow = steady(battery=battery_data(final_wh=800.0, charge_w=100.0))
    assert Desk(slow, soc_wh=300.0).violation(final_charge) == pytest.approx(0.0)


def test_wear_and_a_missing_charge_cost():
    worn = steady(battery=battery_data(wear_usd_per_mwh=20.0, charge_frac=0.5))
    used = Desk(worn, charge_w=[[500.0, 0.0, 0.0]], discharge_w=[[0.0, 250.0, 0.0]])
    assert used.cost(asset_cost) == pytest.approx(750e-6 * 20 * 1e6)
    # Twice what could be earned: 50 USD/MWh and the wear, at half of what is charged.
    assert Desk(worn, short_wh=1.0).cost(asset_cost) == pytest.approx(2 * 70 / 0.5)
    assert used.is_dpp_cost(asset_cost)


def test_a_plan_without_assets_has_none_of_it():
    desk = Desk(problem())
    for term in (power_balance, battery_power, stored_energy, final_charge):
        assert term(desk.v, desk.p, desk.shape) == []
    assert desk.cost(asset_cost) == 0.0


@golden(power_balance, battery_power, stored_energy)
def test_a_battery_is_charged_cheap_and_discharged_dear():
    # A Wh charged at 20 USD/MWh gives 0.72 Wh: worth it at 100 and at 50. 900 Wh are stored at most, 500 W come out of
    # 625 Wh in the dear hour, 220 W of the other 275 Wh in the next.
    battery = battery_data(charge_frac=0.9, discharge_frac=0.8)
    plan = planned(steady(battery=battery, price_usd_per_mwh=(20.0, 100.0, 50.0)))
    [site] = plan.sites
    assert site.charge_w == pytest.approx((1000.0, 0.0, 0.0))
    assert site.discharge_w == pytest.approx((0.0, 500.0, 220.0))
    assert site.soc_wh == pytest.approx((0.0, 900.0, 275.0, 0.0), abs=1e-3)
    assert site.import_w == pytest.approx((2548.0, 1048.0, 1328.0))
    assert plan.cost_usd == pytest.approx((2548 * 20 + 1048 * 100 + 1328 * 50) * 1e-6)


def test_photovoltaics_are_used_first_and_left_where_energy_pays():
    plan = planned(steady(pv_w=(2000.0, 0.0, 500.0), price_usd_per_mwh=(50.0, 50.0, -10.0)))
    [site] = plan.sites
    assert site.pv_w == pytest.approx((1548.0, 0.0, 0.0))
    assert site.import_w == pytest.approx((0.0, 1548.0, 1548.0))
    assert (site.charge_w, site.soc_wh) == ((), ())


def test_a_limit_is_kept_with_the_battery_before_its_final_charge():
    battery = battery_data(capacity_wh=2000.0, soc_wh=2000.0, final_wh=2000.0)
    plan = planned(steady(battery=battery, limit_w=(1048.0,) * 3))
    assert plan.sites[0].import_w == pytest.approx((1048.0,) * 3)
    assert [(s.promise, s.amount) for s in plan.slack] == [("final_soc", pytest.approx(1500.0))]


@golden(final_charge, asset_cost)
def test_a_final_charge_is_kept_at_any_price_of_energy():
    battery = battery_data(soc_wh=600.0, final_wh=600.0)
    plan = planned(steady(battery=battery, price_usd_per_mwh=(50.0, 50.0, 900.0)))
    assert plan.sites[0].soc_wh[-1] == pytest.approx(600.0)
    assert plan.slack == ()
