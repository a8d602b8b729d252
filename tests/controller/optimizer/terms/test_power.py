import pytest

from controller.optimizer.dispatch import first_interval
from controller.optimizer.terms.power import power_drop, power_ramp, ramp_cost, site_power
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem(bias_w=70.0)
NOW = {"on": [[1.0] * 3] * 2, "sleeping": [[1.0] * 3] * 2, "tokens": [[500.0] * 3, [300.0] * 3]}
# (2000 + 100 + 50) + (1000 + 100 + 50) + 0.3·500 + 0.2·300 + 40 spare = 3550 W of IT
SITE_W = 1.2 * 3550 + 300 + 70


def test_power_is_affine_in_instances_and_tokens():
    assert Desk(DATA, **NOW, site_w=SITE_W).violation(site_power) == pytest.approx(0.0, abs=1e-6)
    assert Desk(DATA, **NOW, site_w=SITE_W - 100).violation(site_power) == pytest.approx(100.0)
    assert Desk(DATA).is_dpp(site_power)


def test_a_rise_beyond_the_ramp_must_be_told():
    ramped = problem(ramp_w=500.0)
    rising = [[1000.0, 1500.0, 2600.0]]
    assert Desk(ramped, site_w=rising).violation(power_ramp) == pytest.approx(600.0)
    assert Desk(ramped, site_w=rising, over_ramp_w=600.0).violation(power_ramp) == pytest.approx(0.0)
    assert Desk(ramped, site_w=[[2600.0, 1000.0, 1000.0]]).violation(power_ramp) == 0.0
    assert Desk(ramped).is_dpp(power_ramp)


def test_without_a_ramp_any_rise_is_fine():
    assert Desk(DATA, site_w=[[0.0, 9000.0, 9000.0]]).violation(power_ramp) == 0.0


def test_a_fall_beyond_the_ramp_must_be_told_where_one_is_asked_for():
    falling = [[2600.0, 1500.0, 1400.0]]
    asked = problem(ramp_down_w=500.0)
    assert Desk(asked, site_w=falling).violation(power_drop) == pytest.approx(600.0)
    assert Desk(asked, site_w=falling, over_ramp_w=600.0).violation(power_drop) == pytest.approx(0.0)
    assert Desk(asked).is_dpp(power_drop)
    assert Desk(DATA, site_w=falling).violation(power_drop) == 0.0


def test_ramps_are_of_what_is_drawn_from_the_grid():
    sunny = problem(ramp_w=500.0, pv_w=(3000.0,) * 3)
    assert Desk(sunny, site_w=[[1000.0, 3000.0, 3000.0]], import_w=1000.0).violation(power_ramp) == 0.0


def test_the_first_interval_rises_from_what_was_drawn_before():
    known = problem(ramp_w=500.0, drawn_before_w=1000.0)
    assert Desk(known, site_w=1500.0).violation(power_ramp) == pytest.approx(0.0)
    assert Desk(known, site_w=1700.0).violation(power_ramp) == pytest.approx(200.0)
    assert Desk(known, site_w=1700.0, over_ramp_w=[[200.0, 0.0, 0.0]]).violation(power_ramp) == pytest.approx(0.0)
    assert Desk(known).is_dpp(power_ramp)


def test_it_falls_no_faster_than_the_ramp_unless_a_limit_demands_it():
    known = problem(ramp_down_w=500.0, drawn_before_w=3000.0)
    assert Desk(known, site_w=2500.0).violation(power_drop) == pytest.approx(0.0)
    assert Desk(known, site_w=2200.0).violation(power_drop) == pytest.approx(300.0)
    assert Desk(known, site_w=2200.0, over_ramp_w=300.0).violation(power_drop) == pytest.approx(0.0)
    called = problem(ramp_down_w=500.0, drawn_before_w=3000.0, limit_w=(2200.0,) * 3)
    assert Desk(called, site_w=2200.0).violation(power_drop) == pytest.approx(0.0)
    assert Desk(called, site_w=2000.0).violation(power_drop) == pytest.approx(200.0)
    assert Desk(known).is_dpp(power_drop)


def test_a_limit_that_begins_or_tightens_within_the_horizon_may_demand_any_fall():
    called = problem(ramp_down_w=500.0, limit_w=(None, 2000.0, 1000.0))
    assert Desk(called, site_w=[[3000.0, 2000.0, 1000.0]]).violation(power_drop) == 0.0
    loosened = problem(ramp_down_w=500.0, limit_w=(2000.0, 3000.0, None))
    assert Desk(loosened, site_w=[[2000.0, 1000.0, 1000.0]]).violation(power_drop) == pytest.approx(500.0)


def test_the_step_from_an_unknown_power_is_not_bound():
    unknown = problem(ramp_w=500.0, ramp_down_w=500.0)
    assert Desk(unknown, site_w=9000.0).violation(power_ramp) == 0.0
    assert Desk(unknown, site_w=0.0).violation(power_drop) == 0.0
    down_only = problem(ramp_down_w=500.0, drawn_before_w=1000.0)
    assert Desk(down_only, site_w=9000.0).violation(power_ramp) == 0.0


def test_a_single_interval_has_the_step_into_it_alone():
    one = first_interval(problem(ramp_w=500.0, ramp_down_w=500.0, drawn_before_w=3000.0), (1, 1))
    assert Desk(one, site_w=3600.0).violation(power_ramp) == pytest.approx(100.0)
    assert Desk(one, site_w=2400.0).violation(power_drop) == pytest.approx(100.0)
    free = Desk(first_interval(problem(), (1, 1)))
    assert power_ramp(free.v, free.p, free.shape) == power_drop(free.v, free.p, free.shape) == []


def restoring(**changes):
    """Three instances of 900 tokens/s, one on, and a demand that needs all; one at 900 tokens/s draws 2,112 W."""
    given = {
        "pools": (pool_data("full", wake_s=0.0),),
        "classes": (class_data("standard", 2500.0),),
        "peak_frac": 0.9,
        "moves_anywhen": True,
        "may_stop": False,
        "ramp_usd_per_w": 100.0,
        "ramp_w": 1200.0,
        "drawn_before_w": 2112.0,
    }
    return steady(**{**given, **changes})


@golden(site_power, power_ramp, ramp_cost)
def test_a_restore_climbs_the_ramp_from_its_first_interval():
    # With n on and y tokens/s the site draws 1.2 · (1,000 n + 100 (3 - n) + 40) + 300 W and 0.36 W for each token/s:
    # 2,868 W with two, 3,948 W with three. Up to 3,312, 4,512 and 5,712 W: 1,233 tokens/s on two, 1,567 and then all
    # 2,500 on three. To wait with the third would serve 1,800 and 2,133: fewer.
    plan = planned(restoring())
    assert plan.pools[0].on == (2, 3, 3)
    assert plan.pools[0].output_tokens_per_s[0][1] == pytest.approx((444 / 0.36, 564 / 0.36, 2500.0))
    assert plan.sites[0].import_w == pytest.approx((3312.0, 4512.0, 4848.0))
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(2500.0 - 444 / 0.36))]


def test_without_a_known_power_before_it_is_restored_at_once():
    plan = planned(restoring(drawn_before_w=None))
    assert plan.sites[0].import_w == pytest.approx((4848.0,) * 3)
    assert plan.slack == ()


@golden(power_drop)
def test_a_fall_is_gentle_from_its_first_interval():
    # Without a token the site draws 3,948 W with three on, and 1,080 W less with each that sleeps: one an interval.
    idle = restoring(
        pools=(pool_data("full", on_now=3, sleeping_now=0, wake_s=0.0),),
        classes=(class_data("standard", 0.0),),
        ramp_w=None,
        ramp_down_w=1100.0,
        drawn_before_w=3948.0,
    )
    plan = planned(idle)
    assert plan.pools[0].on == (2, 1, 0)
    assert plan.slack == ()


def test_a_large_fleets_rounding_keeps_the_ramp_of_its_first_interval():
    large = restoring(
        gpus=400,
        pools=(pool_data("full", instances=100, on_now=20, sleeping_now=80, max_on=100, wake_s=0.0),),
        classes=(class_data("standard", 70_000.0),),
        drawn_before_w=40_000.0,
        ramp_w=30_000.0,
    )
    # 12,348 W, 1,080 W an instance and 324 W of its 900 tokens/s: 41 instances in 70,000 W, and 36,900 tokens/s.
    plan = planned(large)
    assert plan.sites[0].import_w[0] == pytest.approx(12_348 + 41 * 1_404, abs=1.0)
    assert "ramp" not in {slack.promise for slack in plan.slack}


def test_rising_faster_costs():
    desk = Desk(problem(ramp_usd_per_w=0.01), over_ramp_w=[[0.0, 100.0, 0.0]])
    assert desk.cost(ramp_cost) == pytest.approx(100 * 0.01 * 1e6)
    assert desk.is_dpp_cost(ramp_cost)
