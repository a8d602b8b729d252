from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Phase, TokenCount
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.power_loop import (
    at_meter_w,
    count_tokens,
    draining_power_w,
    instance_power_w,
    measured_power,
    modelled_power_w,
    next_bias_w,
    ramp_is_over,
    spare_w,
)
from controller.lifecycle.views import look
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState, Missing, Quality, Reading
from tests.fakes.fake_fleet import BF16, FakeFleet, site

NOW_S = 1000.0
POLICY = TickPolicy(bias_tau_s=10.0)


def observed(**changes):
    return replace(FakeFleet(site(), {}).observe(), **changes)


def views_of(observation, intents=()):
    return look(site(), intents, observation, stale_s=15.0, retry_s=30.0)


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


def test_spare_gpus_draw_too():
    bigger = site(gpus=70, spare_gpu_w=60.0)
    assert spare_w(bigger) == pytest.approx(8 * 60.0)
    assert at_meter_w(bigger, 1000.0) == pytest.approx(1.1 * (1000.0 + 480.0) + 500.0)


def test_token_rates_come_from_counters_and_survive_a_restart():
    first = observed()
    seen = first.instances[0]
    counts = count_tokens(views_of(first), ())
    later = replace(
        first,
        now_s=NOW_S + 2,
        instances=(replace(seen, observed_at_s=NOW_S + 2, generation_tokens=500.0, prompt_tokens=2000.0),),
    )
    rated = count_tokens(views_of(later), counts)
    assert (rated[0].generation_per_s, rated[0].prompt_per_s) == (250.0, 1000.0)
    assert count_tokens(views_of(later), rated) == rated
    reset = replace(later, now_s=NOW_S + 4, instances=(replace(seen, observed_at_s=NOW_S + 4, generation_tokens=10.0),))
    assert count_tokens(views_of(reset), rated)[0].generation_per_s == 0.0


@pytest.mark.parametrize(
    ("state", "running", "power_w"),
    [
        (InstanceState.SERVING, 0, BF16.idle_w),
        (InstanceState.SERVING, 5, BF16.p0_w),
        (InstanceState.SLEEPING, 0, BF16.sleeping_w),
        (InstanceState.OFF, 0, BF16.off_w),
        (InstanceState.WAKING, 0, BF16.idle_w),
    ],
)
def test_an_instance_draws_by_its_state(state, running, power_w):
    seen = observed()
    first = replace(seen.instances[0], state=state, running=running)
    view = views_of(replace(seen, instances=(first, *seen.instances[1:])))[0]
    assert instance_power_w(view, None) == pytest.approx(power_w)


def test_tokens_add_to_it():
    seen = observed()
    view = views_of(replace(seen, instances=(replace(seen.instances[0], running=5),)))[0]
    count = TokenCount(view.instance.instance_id, NOW_S, 0.0, 0.0, 1000.0, 5000.0)
    expected = BF16.p0_w + BF16.decode_j_per_token * 1000.0 + BF16.prefill_j_per_token * 5000.0
    assert instance_power_w(view, count) == pytest.approx(expected)
    idle_rest = sum(p.curves.idle_w * len(p.instances) for p in site().pools) - BF16.idle_w
    modelled = modelled_power_w(site(), (view, *views_of(seen)[1:]), (count,))
    assert modelled == pytest.approx(1.1 * (expected + idle_rest) + 500.0)


def test_draining_instances_will_leave_their_power():
    seen = observed()
    intents = (Intent(seen.instances[0].instance_id, Phase.DRAIN, NOW_S),)
    assert draining_power_w(site(), views_of(seen, intents)) == pytest.approx(1.1 * (BF16.p0_w - BF16.sleeping_w))


EVENT = GridEvent("e", 10_000.0, 900.0, 2000.0, 900.0, ramp_s=30.0)


def bias(measured_w, modelled_w, *, before=0.0, leaving_w=0.0, event=EVENT, dt_s=10.0):
    return next_bias_w(
        POLICY,
        site(),
        observed(events=() if event is None else (event,)),
        (before, NOW_S - dt_s),
        measured_w=measured_w,
        modelled_w=modelled_w,
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
