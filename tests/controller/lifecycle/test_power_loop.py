from dataclasses import replace

import pytest

from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.power_loop import Measured, at_meter_w, measured_power, next_bias_w, ramp_is_over, spare_w
from controller.model.grid import GridEvent
from controller.model.observation import Missing, Quality, Reading
from tests.fakes.fake_fleet import FakeFleet, site

NOW_S = 1000.0
POLICY = TickPolicy(bias_tau_s=10.0)


def observed(**changes):
    return replace(FakeFleet(site(), {}).observe(), **changes)


def gpu_readings(age_s=0.0, skip=0):
    uuids = [uuid for pool in site().pools for instance in pool.instances for uuid in instance.gpu_uuids]
    return tuple((uuid, Reading(100.0, None, NOW_S - age_s, "dcgm", Quality.DIRECT)) for uuid in uuids[skip:])


def test_the_meter_comes_first():
    measured = measured_power(site(), observed(), 15.0)
    assert measured.value_w is not None
    assert measured.fallback is None


def test_without_it_all_gpus_are_summed():
    measured = measured_power(
        site(), observed(site_power=Missing("meter", "unplugged", 0.0), gpu_power=gpu_readings(5.0)), 15.0
    )
    assert measured.value_w == pytest.approx(1.1 * 62 * 100.0 + 500.0)
    assert measured.age_s == 5.0
    assert measured.fallback == ("gpu readings", "meter is missing: unplugged")


@pytest.mark.parametrize("gpus", [(), gpu_readings(skip=1), gpu_readings(age_s=99.0)])
def test_a_part_of_the_gpus_is_not_the_site(gpus):
    stale = Reading(9000.0, None, NOW_S - 60.0, "meter", Quality.DIRECT)
    measured = measured_power(site(), observed(site_power=stale, gpu_power=gpus), 15.0)
    assert measured.value_w is None
    assert measured.fallback == ("model", "meter is 60 s old")


def test_readings_of_a_future_that_a_clock_left_behind_are_not_believed():
    ahead = Reading(9000.0, None, NOW_S + 60.0, "meter", Quality.DIRECT)
    measured = measured_power(site(), observed(site_power=ahead, gpu_power=gpu_readings(-60.0)), 15.0)
    assert measured.value_w is None
    assert measured.fallback == ("model", "meter is 60 s ahead of this machine's clock")
    a_little = measured_power(site(), observed(site_power=replace(ahead, observed_at_s=NOW_S + 2.0)), 15.0)
    assert (a_little.value_w, a_little.age_s) == (9000.0, 0.0)


def test_spare_gpus_draw_too():
    bigger = site(gpus=70, spare_gpu_w=60.0)
    assert spare_w(bigger) == pytest.approx(8 * 60.0)
    assert at_meter_w(bigger, 1000.0) == pytest.approx(1.1 * (1000.0 + 480.0) + 500.0)


EVENT = GridEvent("e", 10_000.0, 900.0, 2000.0, 900.0, ramp_s=30.0)


def bias(measured_w, charged_w, *, before=0.0, leaving_w=0.0, event=EVENT, dt_s=10.0):
    return next_bias_w(
        POLICY,
        site(),
        observed(events=() if event is None else (event,)),
        (before, NOW_S - dt_s),
        measured_w=measured_w,
        charged_w=charged_w,
        leaving_w=leaving_w,
    )


def test_the_correction_follows_what_the_meter_shows_above_the_model():
    assert bias(9500.0, 9000.0, event=None) == pytest.approx(500.0 * 0.632, rel=0.01)
    assert bias(9000.0, 9500.0, event=None) == 0.0


def test_it_is_forgotten_when_the_model_is_right_or_the_meter_is_gone():
    assert bias(9000.0, 9000.0, before=400.0) == pytest.approx(400.0 * 0.368, rel=0.01)
    assert bias(None, 9000.0, before=400.0) == pytest.approx(400.0 * 0.368, rel=0.01)


def test_after_the_ramp_what_is_over_the_limit_is_added():
    over = bias(10_500.0, 10_500.0)
    assert over == pytest.approx(500.0 * 0.632, rel=0.01)
    assert bias(10_500.0, 10_500.0, leaving_w=600.0) == 0.0
    young = replace(EVENT, start_s=NOW_S - 5.0)
    assert bias(10_500.0, 10_500.0, event=young) == 0.0


def test_it_is_bounded():
    assert bias(90_000.0, 9000.0) == pytest.approx(POLICY.bias_max_frac * 10_000.0)


def test_a_standing_limit_has_no_ramp():
    assert ramp_is_over((), 5000.0, NOW_S)
    assert not ramp_is_over((replace(EVENT, start_s=NOW_S),), 10_000.0, NOW_S)
    assert ramp_is_over((EVENT,), 10_000.0, NOW_S)


def test_a_limit_is_held_against_the_higher_of_curves_and_meter_and_the_curves_alone_where_none_is_heard():
    assert Measured(900.0, 1.0).at_least(800.0) == 900.0
    assert Measured(900.0, 1.0).at_least(1000.0) == 1000.0
    assert Measured(None, None).at_least(800.0) == 800.0
