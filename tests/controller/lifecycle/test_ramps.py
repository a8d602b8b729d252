from dataclasses import replace

import pytest

from controller.lifecycle.memory import Intent, Memory, Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.ramps import (
    Decided,
    Ramps,
    coming_w,
    departing_higher,
    leaving_w,
    ramps,
    remembered,
    step_w,
    steps_to_cross,
)
from controller.lifecycle.targets import Targets
from controller.lifecycle.views import look
from controller.model.observation import InstanceState
from controller.model.plan import PlanOrigin
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import assemble
from controller.settlement.baseline import PowerHistory
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.problems import at_site, class_data, problem

POLICY = TickPolicy(step_s=60.0, ramp_up_w_per_s=100.0, ramp_down_w_per_s=200.0)
NOW_S = 1000.0


def memory(*samples, margins=()):
    return replace(Memory.initial(site(), 0.0), predicted=PowerHistory(samples), margins=PowerHistory(margins))


def test_without_ramps_nothing_is_bound_and_nothing_told():
    assert ramps(site(), TickPolicy(), memory((940.0, 8000.0)), NOW_S) == Ramps()
    assert not Ramps().bind


def test_the_step_departs_from_what_was_decided_an_interval_ago():
    known = memory((938.0, 7000.0), (940.0, 8000.0), (942.0, 9000.0), margins=((938.0, 5.0), (940.0, 6.0)))
    bounds = ramps(site(), POLICY, known, NOW_S)
    assert (bounds.up_w, bounds.down_w, bounds.before_w, bounds.margin_w) == (6000.0, 12_000.0, 8000.0, 6.0)
    assert bounds.fallbacks == ()
    assert bounds.bind


@pytest.mark.parametrize("samples", [(), ((998.0, 8000.0),), ((900.0, 8000.0), (998.0, 8000.0))])
def test_what_is_not_known_is_told_and_binds_nothing(samples):
    bounds = ramps(site(), POLICY, memory(*samples), NOW_S)
    assert bounds.before_w is None
    [(step, reason)] = bounds.fallbacks
    assert step == "first interval unbound"
    assert reason == "what was drawn 60 s ago is not known"


def test_a_ramp_below_the_step_of_one_instance_is_that_step_and_told():
    largest_w = max(step_w(site(), pool) for pool in site().pools)
    slow = replace(POLICY, ramp_up_w_per_s=1.0, ramp_down_w_per_s=None)
    bounds = ramps(site(), slow, memory((940.0, 8000.0)), NOW_S)
    assert (bounds.up_w, bounds.down_w) == (pytest.approx(largest_w), None)
    [(step, reason)] = bounds.fallbacks
    assert step == "one instance"
    assert reason.startswith("the ramp up of 60 W in 60 s is less than the")


def test_an_instances_step_is_from_rest_to_serving_at_the_meter():
    whole = site()
    curves = whole.pools[0].curves
    assert step_w(whole, whole.pools[0]) == pytest.approx(whole.pue * (curves.p0_w - curves.off_w))


def views(*waking):
    fleet = FakeFleet(site(), {})
    for engine in fleet.engines:
        if engine.instance_id in waking:
            engine.state = InstanceState.WAKING
    intents = tuple(Intent(instance_id, Phase.WAKE, fleet.now_s) for instance_id in waking)
    return look(fleet.site, intents, fleet.observe(), stale_s=15.0, retry_s=30.0)


def test_what_is_coming_counts_less_what_it_replaces():
    whole = site()
    waking = views("int4-0", "int4-1", "int4-2")
    each_w = step_w(whole, whole.pools[2])
    everything = Targets((4, 5, 5), (4, 5, 5))
    assert coming_w(whole, waking, everything) == pytest.approx(3 * each_w)
    replaced_w = step_w(whole, whole.pools[1])
    assert 0 < replaced_w < 3 * each_w
    assert coming_w(whole, waking, replace(everything, on=(4, 4, 5))) == pytest.approx(3 * each_w - replaced_w)
    assert coming_w(whole, views(), replace(everything, on=(0, 0, 0))) == 0.0


def test_what_is_about_to_go_is_what_drains_and_what_serves_beyond_the_targets():
    whole, fleet = site(), FakeFleet(site(), {})
    named = {engine.instance_id for engine in fleet.engines if engine.instance_id.startswith("bf16")}
    drains = (Intent("bf16-0", Phase.DRAIN, fleet.now_s),)
    everything = Targets((4, 5, 5), (4, 5, 5))
    assert {"bf16-0"} <= named
    seen = look(fleet.site, drains, fleet.observe(), stale_s=15.0, retry_s=30.0)
    assert leaving_w(whole, views(), (), everything) == 0.0
    drained_w = leaving_w(whole, seen, (), everything)
    assert 0.0 < drained_w <= whole.pue * whole.pools[0].curves.p0_w
    fewer = replace(everything, on=(2, 5, 5))
    assert leaving_w(whole, seen, (), fewer) == pytest.approx(drained_w + step_w(whole, whole.pools[0]))


def test_the_problem_departs_from_a_power_never_below_zero_and_never_from_an_unknown_one():
    known = problem(ramp_w=100.0, drawn_before_w=500.0)
    assert departing_higher(known, -200.0).sites[0].drawn_before_w == 300.0
    assert departing_higher(known, -900.0).sites[0].drawn_before_w == 0.0
    assert departing_higher(problem(ramp_w=100.0), 900.0).sites[0].drawn_before_w is None


def decided(data, present_tokens_per_s=600.0, rising_w=50.0):
    """A dispatch of 600 tokens/s, two thirds of them on the pool of 0.3 J, the rest on that of 0.2 J."""
    now = first_interval(data, (1, 1))
    present = replace(data, classes=(class_data("standard", present_tokens_per_s),))
    dispatch = assemble(now, PlanOrigin.DISPATCH, ((1,), (1,)), ((2,), (2,)), (((400.0,), (200.0,)),))
    return Decided(data, present, dispatch, rising_w)


def test_the_power_decided_is_remembered_without_the_correction_and_with_what_is_coming():
    data = problem(ramp_w=100.0, bias_w=70.0)
    whole = decided(data)
    kept = remembered(memory(), POLICY, whole)
    assert kept.predicted.samples == ((0.0, pytest.approx(whole.dispatch.import_w[0] - 70.0 + 50.0)),)
    # 800 tokens/s are planned for, 600 are there; a token takes 0.8 / 3 J on average.
    assert kept.margins.samples == ((0.0, pytest.approx(1.2 * 200.0 * 0.8 / 3)),)


def test_nothing_is_remembered_where_nothing_is_bound():
    assert remembered(memory(), POLICY, decided(problem())) == memory()


def test_a_class_without_tokens_would_take_its_frugal_pool():
    data = problem(ramp_w=100.0)
    nothing = replace(
        decided(data, 0.0),
        dispatch=assemble(
            first_interval(data, (1, 1)), PlanOrigin.DISPATCH, ((1,), (1,)), ((2,), (2,)), (((0.0,), (0.0,)),)
        ),
    )
    assert remembered(memory(), POLICY, nothing).margins.samples == ((0.0, pytest.approx(1.2 * 800.0 * 0.2)),)


def test_the_memory_reaches_back_as_far_as_is_asked_for():
    kept = memory()
    for tick in range(200):
        data = at_site(problem(ramp_w=100.0), bias_w=0.0)
        later = replace(data, horizon=replace(data.horizon, start_s=2.0 * tick))
        kept = remembered(kept, POLICY, decided(later))
    times = [time_s for time_s, _ in kept.predicted.samples]
    assert times[-1] == 398.0
    assert times[0] < 398.0 - POLICY.step_s - POLICY.reading_stale_s
    assert len(times) < 60


def test_a_step_beyond_the_ramp_is_felt_until_the_site_has_caught_up():
    whole_w = sum(len(pool.instances) * step_w(site(), pool) for pool in site().pools)
    assert steps_to_cross(site(), Ramps(up_w=whole_w / 4.5), 12) == 5
    assert steps_to_cross(site(), Ramps(up_w=whole_w, down_w=whole_w / 2.5), 12) == 3
    assert steps_to_cross(site(), Ramps(up_w=whole_w / 100), 12) == 12
    assert steps_to_cross(site(), Ramps(), 12) == 1
