import math
from dataclasses import replace

import pytest

from controller.energy.refit_interval import Doing
from controller.lifecycle.meters import MAX_GPU_W, intervals_of
from controller.model.observation import InstanceState, Missing, Quality, Reading
from tests.fakes.controller_parts import NOW_S, instance, observation, site

SITE = site()
GPUS = tuple(
    f"GPU-{name}-{n}-{g}" for name, instances in (("bf16", 2), ("int4", 1)) for n in range(instances) for g in range(2)
)


def seen(after_s=0.0, watts=600.0, energy=True, gpus=None, **instances):
    """An observation in which every GPU has drawn `watts` since the beginning."""
    now_s = NOW_S + after_s
    readings = {
        uuid: Reading(watts, 1e6 + watts * after_s if energy else None, now_s, "a test", Quality.DIRECT)
        for uuid in GPUS
    }
    readings.update(gpus or {})
    reports = {
        "bf16-0": serving("bf16-0", after_s),
        "bf16-1": serving("bf16-1", after_s),
        "int4-0": instance("int4-0", InstanceState.SLEEPING, now_s, since_s=NOW_S - 60.0),
        **{name.replace("_", "-"): report for name, report in instances.items()},
    }
    return observation(now_s, gpu_power=tuple(readings.items()), instances=tuple(reports.values()))


def serving(name, after_s, rate=100.0, **more):
    given = {
        "since_s": NOW_S - 60.0,
        "generation_tokens": 5000.0 + rate * after_s,
        "prompt_tokens": 9000.0 + 2 * rate * after_s,
        "steps": 300.0 + 10.0 * after_s,
        "running": 8,
    }
    return instance(name, now_s=NOW_S + after_s, **{**given, **more})


def between(first, second):
    """The intervals from one observation to another, by pool."""
    anchors, begun = intervals_of(SITE, (), first)
    assert not any(begun)
    return intervals_of(SITE, anchors, second)[1]


def test_an_instance_is_read_whole_from_one_reading_to_the_next():
    bf16, int4 = between(seen(), seen(5.0))
    assert len(bf16) == 2
    one = bf16[0]
    assert (one.doing, one.wall_s, one.energy_j) == (Doing.SERVING, 5.0, pytest.approx(6000.0))
    assert (one.decode_tokens, one.prefill_tokens, one.steps, one.running) == (500.0, 1000.0, 50.0, (8, 8))
    assert [each.doing for each in int4] == [Doing.SLEEPING]


def test_without_counters_the_power_itself_counts_and_is_trusted_less():
    counted, gauged = (between(seen(energy=kind), seen(5.0, energy=kind))[0][0] for kind in (True, False))
    assert gauged.energy_j == pytest.approx(counted.energy_j)
    assert gauged.noise_frac > counted.noise_frac


def test_a_short_interval_is_waited_for():
    anchors, _ = intervals_of(SITE, (), seen())
    anchors, none = intervals_of(SITE, anchors, seen(2.0))
    assert not any(none)
    assert intervals_of(SITE, anchors, seen(4.0))[1][0][0].wall_s == 4.0


def test_readings_that_lag_are_matched_with_the_tokens_of_their_time():
    """The GPUs were read half a second before the engine at the beginning, and two seconds before it at the end."""
    late = {uuid: Reading(600.0, 1e6 + 600.0 * 13.0, NOW_S + 13.0, "t", Quality.DIRECT) for uuid in GPUS}
    early = {uuid: Reading(600.0, 1e6 - 300.0, NOW_S - 0.5, "t", Quality.DIRECT) for uuid in GPUS}
    one = between(seen(gpus=early), seen(15.0, gpus=late))[0][0]
    assert one.wall_s == 13.5
    assert one.power_w == pytest.approx(1200.0)
    assert one.decode_tokens == pytest.approx(1350.0)
    assert one.noise_frac > 0.03


@pytest.mark.parametrize(
    "changes",
    [
        {"bf16_0": serving("bf16-0", 5.0, since_s=NOW_S + 3.0)},  # it slept meanwhile
        {"bf16_0": instance("bf16-0", InstanceState.SLEEPING, NOW_S + 5.0)},
        {"bf16_0": instance("bf16-0", InstanceState.WAKING, NOW_S + 5.0)},
        {"bf16_0": instance("bf16-0", InstanceState.UNREACHABLE, NOW_S + 5.0)},
        {"bf16_0": serving("bf16-0", 5.0, generation_tokens=3.0)},  # the engine began anew
        {"bf16_0": serving("bf16-0", 5.0, prompt_tokens=3.0)},
        {"gpus": {"GPU-bf16-0-1": Missing("t", "lost", NOW_S)}},
        {"gpus": {"GPU-bf16-0-1": Reading(600.0, 5.0, NOW_S + 5.0, "t", Quality.DIRECT)}},  # the counter began anew
        {"gpus": {"GPU-bf16-0-1": Reading(600.0, None, NOW_S + 5.0, "t", Quality.DIRECT)}},
        {"gpus": {"GPU-bf16-0-1": Reading(600.0, 1e6 + 3000.0, NOW_S + 5.0, "t", Quality.ESTIMATED)}},
        {"gpus": {"GPU-bf16-0-1": Reading(600.0, 1e6 + 10 * MAX_GPU_W * 5.0, NOW_S + 5.0, "t", Quality.DIRECT)}},
        {"gpus": {"GPU-bf16-0-1": Reading(600.0, 1e6 + 3000.0, NOW_S + 5.0, "another", Quality.DIRECT)}},
        {"gpus": {"GPU-bf16-0-1": Reading(math.nan, math.nan, NOW_S + 5.0, "t", Quality.DIRECT)}},
    ],
)
def test_what_cannot_be_used_is_left_out_and_the_others_are_not(changes):
    bf16, int4 = between(seen(), seen(5.0, **changes))
    assert len(bf16) == 1
    assert len(int4) == 1


def test_an_instance_that_has_just_fallen_asleep_still_draws_more():
    curves = SITE.pools[1].curves
    since_s = NOW_S - 0.5 * curves.sleep_s
    asleep = [instance("int4-0", InstanceState.SLEEPING, NOW_S + t, since_s=since_s) for t in (0.0, 5.0)]
    assert not between(seen(int4_0=asleep[0]), seen(5.0, int4_0=asleep[1]))[1]


def test_an_engine_that_counts_as_asleep_though_it_is_awake_teaches_nothing_of_sleep():
    doubted = [
        instance("int4-0", InstanceState.SLEEPING, NOW_S + t, since_s=NOW_S - 60.0, is_unproven=True)
        for t in (0.0, 5.0)
    ]
    assert not between(seen(int4_0=doubted[0]), seen(5.0, int4_0=doubted[1]))[1]


def test_a_gap_of_minutes_is_no_interval():
    assert not any(between(seen(), seen(500.0)))


def test_gpus_that_two_instances_share_tell_of_neither():
    pool = SITE.pools[0]
    shared = replace(pool, instances=tuple(replace(one, gpu_uuids=("GPU-bf16-0-0",)) for one in pool.instances))
    both = replace(SITE, pools=(shared, *SITE.pools[1:]))
    anchors, _ = intervals_of(both, (), seen())
    assert not intervals_of(both, anchors, seen(5.0))[1][0]


def test_an_engine_that_counts_no_steps_says_so():
    first, second = (seen(t, bf16_0=serving("bf16-0", t, steps=None)) for t in (0.0, 5.0))
    assert between(first, second)[0][0].steps is None


@pytest.mark.parametrize(
    ("cached", "prompts"),
    [(0.0, (1000.0, 0.0)), (250.0, (750.0, 250.0)), (5000.0, (0.0, 1000.0)), (-9.0, (1000.0, 0.0))],
)
def test_prompts_that_a_cache_held_were_not_computed(cached, prompts):
    one, _ = between(
        seen(0.0, bf16_0=serving("bf16-0", 0.0, cached_tokens=50.0)),
        seen(5.0, bf16_0=serving("bf16-0", 5.0, cached_tokens=50.0 + cached)),
    )[0]
    assert (one.prefill_tokens, one.cached_tokens) == prompts


@pytest.mark.parametrize("told", [(None, None), (None, 250.0), (250.0, None)])
def test_where_the_engine_does_not_tell_all_prompts_count_as_computed(told):
    first, second = (
        seen(t, bf16_0=serving("bf16-0", t, cached_tokens=n)) for t, n in zip((0.0, 5.0), told, strict=True)
    )
    one, _ = between(first, second)[0]
    assert (one.prefill_tokens, one.cached_tokens) == (1000.0, None)
