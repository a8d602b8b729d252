import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.onsite import Flows
from controller.optimizer.outcome import (
    Moves,
    assemble,
    energy_kwh,
    least_power_w,
    lost_share,
    moves,
    rates_of,
    retold,
    usable,
)
from tests.fakes.problems import battery_data, class_data, pool_data, problem, response_data

ONE_EACH = ((1, 1, 1), (1, 1, 1))
REST_ASLEEP = ((2, 2, 2), (2, 2, 2))
HALF = (((400.0,) * 3, (400.0,) * 3),)


def test_moves_take_sleepers_before_those_that_are_off():
    pool = pool_data("full", on_now=1, sleeping_now=1)  # the third is off
    assert moves(pool, (2, 3, 1), (0, 0, 1)) == Moves((1, 0, 0), (0, 1, 0), (0, 0, 2), (0, 0, 1))


def test_a_latency_takes_its_share_of_the_intervals_it_reaches():
    assert [lost_share(90.0, 60.0, lag) for lag in (0, 1, 2)] == [1.0, 0.5, 0.0]


def test_usable_leaves_out_what_is_still_coming():
    data = problem(pools=(pool_data("full", late=(0.25, 0.0, 0.0)), pool_data("lean")))
    assert usable(data, 0, (2, 2, 2), Moves((1, 0, 0), (0,) * 3, (0,) * 3, (0,) * 3)) == pytest.approx((1.65, 2.0, 2.0))


def test_a_plan_predicts_power_cost_and_energy():
    plan = assemble(problem(), PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF)
    # 2000 + 2·100 + 1000 + 2·100 + 0.3·400 + 0.2·400 + 40 W of IT
    expected_w = 1.2 * 3640 + 300
    assert plan.power_w == pytest.approx((expected_w,) * 3)
    assert plan.cost_usd == pytest.approx(expected_w * 180 / 3.6e9 * 50)
    assert energy_kwh(plan) == pytest.approx(expected_w * 180 / 3.6e6)
    assert plan.slack == ()
    assert rates_of(plan) == HALF


def test_wakes_and_lost_quality_are_in_the_bill():
    data = problem(classes=(class_data("standard", 800.0, quality_usd_per_mtoken=5.0),))
    still = assemble(data, PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF)
    woken = assemble(data, PlanOrigin.MILP, ((2,) * 3, (1,) * 3), ((1,) * 3, (2,) * 3), HALF)
    energy_usd = (woken.power_w[0] - still.power_w[0]) * 180 / 3.6e9 * 50
    assert woken.cost_usd - still.cost_usd == pytest.approx(1e-4 + energy_usd)
    assert still.cost_usd > assemble(problem(), PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF).cost_usd


def test_broken_promises_are_told_at_their_worst_interval():
    data = problem(limit_w=(None, 4000.0, 4500.0))
    lossy = (((100.0, 0.0, 0.0), (700.0, 700.0, 500.0)),)
    told = {
        (s.promise, s.subject): (s.amount, s.unit)
        for s in assemble(data, PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, lossy).slack
    }
    assert told["serve", "standard"] == (pytest.approx(300.0), "tokens/s")
    assert told["quality", "standard"][0] == pytest.approx(7.0)
    assert told["limit", "site"][0] == pytest.approx(1.2 * (3440 + 140) + 300 - 4000)


def test_work_beyond_eta_is_told_as_headroom():
    busy = (((800.0,) * 3, (0.0,) * 3),)
    tight = problem(utilisation_frac=0.7)
    told = assemble(tight, PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, busy).slack
    assert [(s.promise, s.subject, s.amount) for s in told] == [("headroom", "full", pytest.approx(0.1))]


def test_a_plan_told_for_another_limit_breaks_what_it_breaks():
    plan = assemble(problem(), PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF, gap_frac=0.1, solve_s=0.2)
    told = retold(problem(limit_w=(4000.0,) * 3), plan)
    assert [s.promise for s in told.slack] == ["limit"]
    assert (told.pools, told.gap_frac, told.solve_s) == (plan.pools, 0.1, 0.2)


def test_instances_draw_without_a_token():
    assert least_power_w(problem()) == pytest.approx((1.2 * (2000 + 200 + 1000 + 200 + 40) + 300,))


def test_what_is_drawn_is_the_load_where_there_are_no_assets():
    [site] = assemble(problem(), PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF).sites
    assert site.import_w == site.power_w
    assert (site.pv_w, site.charge_w, site.discharge_w, site.soc_wh) == ((), (), (), ())


def test_assets_change_what_is_drawn_and_paid():
    data = problem(pv_w=(500.0,) * 3, battery=battery_data(wear_usd_per_mwh=20.0), response=response_data())
    flows = Flows(((500.0,) * 3,), ((60.0, 0.0, 0.0),), ((0.0, 60.0, 0.0),))
    plan = assemble(data, PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF, flows=flows)
    load_w = 1.2 * 3640 + 300
    assert plan.sites[0].import_w == pytest.approx((load_w - 440, load_w - 560, load_w - 500))
    assert plan.sites[0].soc_wh == pytest.approx((0.0, 1.0, 0.0, 0.0))
    assert energy_kwh(plan) == pytest.approx((3 * load_w - 1500) * 60 / 3.6e6)
    mwh_per_w = 60 / 3.6e9
    paid_back = (load_w - 560 - 1500) * 100
    expected = (3 * load_w - 1500) * 50 + 120 * 20 + paid_back
    assert plan.cost_usd == pytest.approx(expected * mwh_per_w)
    assert retold(data, plan) == plan


def test_moved_requests_are_in_the_bill():
    still = assemble(problem(), PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF)
    moved = problem(move_usd_per_token=((0.0, 1e-6),))
    dearer = assemble(moved, PlanOrigin.MILP, ONE_EACH, REST_ASLEEP, HALF)
    assert dearer.cost_usd - still.cost_usd == pytest.approx(400 * 180 * 1e-6)
