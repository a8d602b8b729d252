import pytest

from controller.energy.attribution import Tokens
from controller.lifecycle.instance_meter import InstanceMeter, modelled_power_w
from controller.model.fleet import Instance
from controller.model.observation import InstanceState, Missing, Quality, Reading
from tests.fakes.controller_parts import curves

INSTANCE = Instance("a", "http://a", ("g0", "g1"))


def seen(at_s, watts, joules=None, quality=Quality.DIRECT, source="nvml"):
    return {
        uuid: Reading(watts / 2, None if joules is None else joules / 2, at_s, source, quality) for uuid in ("g0", "g1")
    }


def meter():
    return InstanceMeter(INSTANCE, stale_s=15.0)


def test_energy_is_the_difference_of_the_counters():
    m = meter()
    assert m.read(100.0, seen(100.0, 700, 5000.0), 0.0) is None
    found = m.read(101.0, seen(101.0, 9999, 5800.0), 0.0)
    assert (found.energy_j, found.duration_s, found.quality) == (800.0, 1.0, Quality.DIRECT)


def test_a_counter_that_stands_still_ends_no_interval():
    m = meter()
    m.read(100.0, seen(100.0, 700, 5000.0), 0.0)
    assert m.read(101.0, seen(100.0, 700, 5000.0), 0.0) is None
    assert m.read(105.0, seen(104.0, 700, 8000.0), 0.0).energy_j == 3000.0


def test_without_counters_power_is_integrated():
    m = meter()
    m.read(100.0, seen(100.0, 600), 0.0)
    assert m.read(102.0, seen(102.0, 800), 0.0).energy_j == pytest.approx(1400.0)


@pytest.mark.parametrize("after", [seen(102.0, 800, 10.0), seen(102.0, 800, 9000.0, source="dcgm")])
def test_a_counter_that_went_back_or_is_anothers_is_bridged_by_power(after):
    m = meter()
    m.read(100.0, seen(100.0, 600, 5000.0), 0.0)
    assert m.read(102.0, after, 0.0).energy_j == pytest.approx(1400.0)


def test_the_model_stands_in_and_counters_set_the_sum_right_afterwards():
    m = meter()
    m.read(100.0, seen(100.0, 700, 0.0), 0.0)
    booked = [m.read(101.0, seen(101.0, 700, 700.0), 0.0)]
    silent = {"g0": Missing("nvml", "lost", 101.0), "g1": seen(101.0, 700, 700.0)["g1"]}
    booked += [m.read(101.0 + n, silent, 500.0) for n in range(1, 30)]
    booked.append(m.read(131.0, seen(131.0, 700, 21_700.0), 0.0))
    modelled = [each for each in booked if each is not None and each.is_modelled]
    assert modelled
    assert all(each.quality is Quality.ESTIMATED for each in modelled)
    assert sum(each.energy_j for each in booked if each is not None) == pytest.approx(21_700.0)
    assert sum(each.duration_s for each in booked if each is not None) == pytest.approx(31.0)


def test_a_model_that_booked_too_much_is_set_right_by_what_follows():
    m = meter()
    m.read(100.0, seen(100.0, 700, 0.0), 0.0)
    total = m.read(120.0, {}, 2000.0).energy_j
    for n in range(1, 61):
        found = m.read(120.0 + n, seen(120.0 + n, 700, 700.0 * (20 + n)), 0.0)
        assert found.energy_j >= 0.0
        total += found.energy_j
    assert total == pytest.approx(700.0 * 80)


def test_an_instance_whose_gpus_were_never_seen_is_estimated():
    m = meter()
    assert m.read(100.0, {}, 500.0) is None
    found = m.read(120.0, {}, 500.0)
    assert (found.energy_j, found.quality, found.is_modelled) == (10_000.0, Quality.ESTIMATED, True)


def test_emulated_readings_are_said_to_be_emulated():
    m = meter()
    m.read(100.0, seen(100.0, 700, 0.0, Quality.EMULATED), 0.0)
    assert m.read(101.0, seen(101.0, 700, 700.0, Quality.EMULATED), 0.0).quality is Quality.EMULATED


@pytest.mark.parametrize(
    ("state", "tokens", "watts"),
    [
        (InstanceState.SLEEPING, Tokens(), 500.0),
        (InstanceState.OFF, Tokens(), 0.0),
        (InstanceState.SERVING, Tokens(), 900.0),
        (InstanceState.UNREACHABLE, Tokens(5, 5), 900.0),
    ],
)
def test_the_model_of_an_instance_at_rest(state, tokens, watts):
    assert modelled_power_w(curves(), state, tokens, 10.0) == watts


def test_counted_steps_tell_how_long_an_instance_computed():
    known, span_s, tokens = curves(), 10.0, Tokens(200, 300)
    for steps in (50.0, 300.0):
        busy_s = known.step_base_s * steps + known.step_per_seq_s * 300 + known.prefill_s_per_token * 200
        active_j = known.p0_w * busy_s + known.decode_j_per_token * 300 + known.prefill_j_per_token * 200
        told_w = modelled_power_w(known, InstanceState.SERVING, tokens, span_s, steps)
        assert told_w * span_s == pytest.approx(known.idle_w * (span_s - busy_s) + active_j)


def test_the_model_of_a_busy_instance_lies_above_p0():
    assert modelled_power_w(curves(), InstanceState.SERVING, Tokens(0, 20_000), 10.0) > curves().p0_w
