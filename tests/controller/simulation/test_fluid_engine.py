from __future__ import annotations

import math

import numpy as np
import pytest

from controller.model.observation import InstanceState
from controller.simulation.fluid_engine import FluidEngines, busy_share
from tests.fakes import scenarios

SITE = scenarios.site()
POOL = SITE.pools[0]
CURVES = POOL.curves
TYPICAL = np.array([[1.0, 100.0, 60.0]])
TAKES = np.array([True, True, True])


def engines(state: InstanceState = InstanceState.SERVING) -> FluidEngines:
    return FluidEngines((POOL,), 1, [state] * 3, 0.0)


def run(work: FluidEngines, seconds: float, rps: float, takes: np.ndarray = TAKES) -> None:
    coming = np.zeros((3, 1, 3))
    coming[:, 0] = rps * TYPICAL[0]
    for _ in range(round(seconds)):
        work.flow(1.0, work.pace(1.0, TYPICAL, coming[:, :, 0]), coming, takes)


def test_the_steady_batch_is_the_one_that_littles_law_gives() -> None:
    work = engines()
    run(work, 60.0, rps=8.0)
    rate = 8.0 * 60.0
    per_token_s = CURVES.step_per_seq_s + 100.0 / 60.0 * CURVES.prefill_s_per_token
    batch = CURVES.step_base_s * rate / (1.0 - per_token_s * rate)
    assert work.held[:, 0, 0] == pytest.approx(batch, rel=1e-3)


def test_the_power_of_a_full_batch_is_affine_in_its_rates() -> None:
    work = engines()
    run(work, 60.0, rps=25.0)
    before_j = work.energy_j.copy()
    run(work, 10.0, rps=25.0)
    expected_w = CURVES.p0_w + CURVES.decode_j_per_token * 25.0 * 59.0 + CURVES.prefill_j_per_token * 25.0 * 100.0
    assert (work.energy_j - before_j) / 10.0 == pytest.approx(expected_w, rel=1e-3)


def test_without_work_and_asleep_and_off_the_power_is_that_of_the_state() -> None:
    for state, power_w in (
        (InstanceState.SERVING, CURVES.idle_w),
        (InstanceState.SLEEPING, CURVES.sleeping_w),
        (InstanceState.OFF, CURVES.off_w),
    ):
        work = engines(state)
        run(work, 5.0, rps=0.0)
        assert work.energy_j == pytest.approx(5.0 * power_w)


def test_a_sleeping_instance_keeps_what_it_has_and_serves_it_after_its_wake() -> None:
    work = engines()
    run(work, 5.0, rps=5.0)
    work.sleep(0, 5.0)
    held = work.held[0].copy()
    run(work, 1.0, rps=0.0)
    assert work.held[0] == pytest.approx(held)
    assert work.next_change_s == 5.0 + CURVES.sleep_s
    work.wake(0, 5.5)
    assert work.next_change_s == 5.5 + 0.5 + CURVES.wake_s  # it falls asleep first
    work.change(8.0)
    assert (work.states[0], work.since_s[0]) == (InstanceState.SERVING, 8.0)
    run(work, 60.0, rps=0.0)
    assert work.held[0, 0, 0] < 0.01


def test_an_instance_falls_asleep_at_idle_power_and_starts_in_its_time() -> None:
    work = engines()
    work.sleep(0, 0.0)
    run(work, 1.0, rps=0.0)
    assert work.energy_j[0] == pytest.approx(CURVES.idle_w)
    work.change(1.0)
    run(work, 1.0, rps=0.0)
    assert work.energy_j[0] == pytest.approx(CURVES.idle_w + CURVES.sleeping_w)
    work.stop(0, 2.0)
    work.start(0, 2.0)
    assert (work.states[0], work.next_change_s) == (InstanceState.STARTING, 2.0 + CURVES.start_s)
    assert not work.reachable[0]


def test_what_is_on_a_stopped_instance_is_lost() -> None:
    work = engines()
    run(work, 5.0, rps=5.0)
    held = work.held[1].copy()
    assert work.stop(1, 5.0) == pytest.approx(held)
    assert work.held[1].sum() == 0.0


def test_a_drained_instance_becomes_empty() -> None:
    work = engines()
    run(work, 20.0, rps=5.0)
    run(work, 60.0, rps=0.0, takes=np.array([False, True, True]))
    assert work.held[0].sum() == 0.0
    assert work.held[1].sum() > 0.0  # flows fade; one that may get more is not emptied


def test_the_batch_is_bounded_by_what_the_engine_is_started_with_and_by_its_cache() -> None:
    work = engines()
    run(work, 30.0, rps=200.0)
    running, waiting = work.in_batch(0)
    assert running == CURVES.max_num_seqs
    assert waiting > 100.0
    work.held[0, 0, 1] *= 100.0
    assert work.in_batch(0)[0] < CURVES.max_num_seqs
    assert work.kv_usage_frac(0) == pytest.approx(1.0)


@pytest.mark.parametrize(("requests", "instances"), [(0.3, 1), (1.7, 2), (6.0, 5)])
def test_the_busy_share_is_the_mean_of_a_poisson_count_that_is_spread_evenly(requests: float, instances: int) -> None:
    counts = range(80)
    chances = [math.exp(-requests) * requests**m / math.factorial(m) for m in counts]
    expected = sum(chance * min(m, instances) for m, chance in zip(counts, chances, strict=True)) / instances
    assert busy_share(requests, instances) == pytest.approx(expected)


def test_many_requests_leave_no_instance_idle() -> None:
    assert busy_share(100.0, 2) == 1.0
    assert busy_share(900.0, 1000) == pytest.approx(0.9)


def test_classes_with_long_and_with_short_answers_share_the_steps_by_what_each_asks_for() -> None:
    """Little's law with the mean prompt per output token of what comes, not of what is there at a time."""
    typical = np.array([[1.0, 200.0, 240.0], [1.0, 1800.0, 20.0]])
    work = FluidEngines((POOL,), 2, [InstanceState.SERVING] * 3, 0.0)
    coming = np.tile(4.0 * typical, (3, 1, 1))
    for _ in range(200):
        served = work.flow(1.0, work.pace(1.0, typical, coming[:, :, 0]), coming, TAKES)
    outputs, prompts = coming[0, :, 2].sum(), coming[0, :, 1].sum()
    busy_s = outputs * CURVES.step_per_seq_s + prompts * CURVES.prefill_s_per_token
    assert served[0, :, 2].sum() == pytest.approx(outputs, rel=1e-3)
    assert work.held[0, :, 0].sum() == pytest.approx(CURVES.step_base_s * outputs / (1.0 - busy_s), rel=1e-2)


@pytest.mark.parametrize("prompt", [20.0, 400.0, 2000.0])
@pytest.mark.parametrize("per_s", [5.0, 40.0, 400.0])
def test_an_engine_that_was_empty_works_no_longer_than_the_step(prompt: float, per_s: float) -> None:
    typical = np.array([[1.0, prompt, 60.0]])
    work = FluidEngines((POOL,), 1, [InstanceState.SERVING] * 3, 0.0)
    coming = np.tile(per_s * 5.0 * typical, (3, 1, 1))
    served = work.flow(5.0, work.pace(5.0, typical, coming[:, :, 0] / 5.0), coming, TAKES)[0, 0]
    assert served[2] * CURVES.step_per_seq_s + served[1] * CURVES.prefill_s_per_token <= 5.0
