from __future__ import annotations

from random import Random
from typing import Any

import pytest

from controller.model.observation import InstanceState
from controller.simulation.batch import Sequence, StepEvent
from controller.simulation.engine import EnginePhysics
from tests.fakes.emulated import quick_curves

CURVES = quick_curves(
    step_base_s=0.02,
    step_per_seq_s=0.0001,
    step_base_j=60.0,
    step_per_seq_j=0.5,
    prefill_s_per_token=0.00001,
    prefill_j_per_token=0.01,
    wake_s=3.0,
    sleep_s=2.0,
    start_s=100.0,
)
P0_W = 3000.0


def engine(state: InstanceState = InstanceState.SERVING, **changes: Any) -> EnginePhysics:
    curves = quick_curves(**{name: getattr(CURVES, name) for name in CURVES.__slots__} | changes)
    return EnginePhysics(curves, 0.0, state)


def run(physics: EnginePhysics) -> list[StepEvent]:
    """Let it go until nothing is left to do."""
    events: list[StepEvent] = []
    while (due_s := physics.next_step_at()) is not None:
        events += physics.advance(due_s)
    return events


def test_one_sequence_takes_prefill_then_decode_steps() -> None:
    physics = engine()
    physics.submit(Sequence(1, input_tokens=100, output_tokens=3, arrived_s=1.0))
    events = run(physics)
    prefill_s, decode_s = 0.02 + 100 * 0.00001, 0.02 + 0.0001
    assert [event.at_s for event in events] == pytest.approx(
        [1.0 + prefill_s, 1.0 + prefill_s + decode_s, 1.0 + prefill_s + 2 * decode_s]
    )
    assert [event.finished for event in events] == [False, False, True]
    step_j = 60.0 + P0_W * 100 * 0.00001 + 0.01 * 100 + 2 * (60.0 + 0.5)
    assert physics.energy_j == pytest.approx(900.0 * 1.0 + step_j)
    assert physics.busy_s == pytest.approx(prefill_s + 2 * decode_s)
    assert (physics.prompt_tokens, physics.generation_tokens, physics.steps) == (100, 3, 3)
    assert physics.kv_cache_usage_frac == 0


def test_sequences_that_arrive_during_a_step_join_the_next() -> None:
    physics = engine()
    physics.submit(Sequence(1, 10, 5, 0.0))
    physics.submit(Sequence(2, 10, 5, 0.001))
    assert (physics.running, physics.waiting) == (1, 1)
    first_end_s = physics.next_step_at()
    assert first_end_s == pytest.approx(0.0201)
    physics.advance(first_end_s or 0.0)
    assert (physics.running, physics.waiting) == (2, 0)


def test_long_prompts_are_computed_in_chunks_beside_the_decoding() -> None:
    physics = EnginePhysics(CURVES, 0.0, max_batched_tokens=100)
    physics.submit(Sequence(1, 5, 50, 0.0))
    physics.advance(0.021)
    physics.submit(Sequence(2, 250, 1, 0.021))
    events = run(physics)
    at_first_token = next(index for index, event in enumerate(events) if event.seq.seq_id == 2)
    decoded_meanwhile = sum(event.seq.seq_id == 1 for event in events[: at_first_token + 1])
    assert decoded_meanwhile == 1 + 3  # the running step, then chunks of 99, 99 and 52
    assert physics.prompt_tokens == 255


def test_the_batch_is_bounded() -> None:
    physics = engine(max_num_seqs=2)
    for seq_id in range(5):
        physics.submit(Sequence(seq_id, 10, 4, 0.0))
    highest = 0
    while (due_s := physics.next_step_at()) is not None:
        highest = max(highest, physics.running)
        physics.advance(due_s)
    assert highest == 2
    assert physics.generation_tokens == 20


def test_context_room_holds_waiting_ones_back_and_preempts_the_newest() -> None:
    physics = engine(kv_capacity_tokens=100)
    for seq_id in range(3):
        physics.submit(Sequence(seq_id, 30, 60, 0.0))
    finished: list[int] = []
    while (due_s := physics.next_step_at()) is not None:
        assert physics.kv_cache_usage_frac <= 1.0
        finished += [event.seq.seq_id for event in physics.advance(due_s) if event.finished]
    assert finished == [0, 1, 2]
    assert physics.preemptions >= 1
    assert physics.generation_tokens == 180
    assert physics.prompt_tokens == 90  # a prompt computed again is not counted again


def test_cancelling_frees_room_and_lets_others_in() -> None:
    physics = engine(kv_capacity_tokens=100)
    physics.submit(Sequence(1, 60, 20, 0.0))
    physics.submit(Sequence(2, 60, 20, 0.0))
    physics.advance(0.03)
    assert (physics.running, physics.waiting) == (1, 1)
    physics.cancel(1)
    assert physics.kv_cache_usage_frac == 0
    physics.cancel(1)
    physics.cancel(99)
    events = run(physics)
    assert {event.seq.seq_id for event in events} == {2}
    assert sum(event.n_tokens for event in events) == 20


@pytest.mark.parametrize("seed", range(3))
def test_tokens_energy_and_counters_are_conserved(seed: int) -> None:
    rng = Random(seed)
    physics = engine(kv_capacity_tokens=3000, max_num_seqs=12)
    asked, got, cancelled, integral_j, at_s = {}, dict.fromkeys(range(120), 0), set(), 0.0, 0.0
    seen = (0.0, 0, 0)
    for seq_id in range(120):
        arrive_s = at_s + rng.expovariate(20)
        while at_s < arrive_s or (seq_id == 119 and physics.next_step_at() is not None):
            due_s = physics.next_step_at()
            until_s = due_s if due_s is not None and (due_s < arrive_s or seq_id == 119) else arrive_s
            integral_j += physics.power_w(until_s) * (until_s - at_s)
            for event in physics.advance(until_s):
                got[event.seq.seq_id] += event.n_tokens
            at_s = until_s
            now = (physics.energy_j, physics.prompt_tokens, physics.generation_tokens)
            assert all(new >= old for new, old in zip(now, seen, strict=True))
            seen = now
        if seq_id == 119:
            break
        asked[seq_id] = rng.randint(1, 200)
        physics.submit(Sequence(seq_id, rng.randint(1, 800), asked[seq_id], at_s))
        if rng.random() < 0.1:
            cancelled.add(seq_id)
            physics.cancel(seq_id)
    assert all(got[seq_id] == n for seq_id, n in asked.items() if seq_id not in cancelled)
    assert all(got[seq_id] <= n for seq_id, n in asked.items())
    assert physics.energy_j == pytest.approx(integral_j)
    assert physics.generation_tokens == sum(got.values())
    assert (physics.running, physics.waiting, physics.kv_cache_usage_frac) == (0, 0, 0)


def test_sleeping_saves_power_and_waiting_requests_go_on_after_the_wake() -> None:
    physics = engine()
    physics.submit(Sequence(1, 100, 10, 0.0))
    before = len(physics.advance(0.05))
    physics.sleep(0.05)
    assert physics.state is InstanceState.SLEEPING
    assert (physics.running, physics.waiting, physics.kv_cache_usage_frac) == (0, 1, 0)
    assert physics.power_w(1.0) == 900.0
    physics.submit(Sequence(2, 10, 10, 1.0))
    physics.advance(10.0)
    assert physics.power_w(10.0) == 500.0
    assert not physics.is_changing
    physics.wake(10.0)
    assert physics.state is InstanceState.WAKING
    assert physics.next_step_at() == pytest.approx(13.0)
    physics.advance(13.0)
    assert physics.state is InstanceState.SERVING
    assert physics.since_s == pytest.approx(13.0)
    events = run(physics)
    assert before + sum(event.n_tokens for event in events) == 20
    assert physics.prompt_tokens == 110


def test_a_wake_during_falling_asleep_waits_for_it() -> None:
    physics = engine()
    physics.sleep(0.0)
    physics.advance(0.5)
    physics.wake(0.5)
    assert physics.next_step_at() == pytest.approx(2.0 + 3.0)


def test_start_and_stop() -> None:
    physics = engine(InstanceState.OFF)
    physics.advance(10.0)
    assert physics.energy_j == pytest.approx(3000.0)
    with pytest.raises(ValueError, match="is off and takes no requests"):
        physics.submit(Sequence(1, 1, 1, 10.0))
    physics.start(10.0)
    assert (physics.state, physics.power_w(11.0)) == (InstanceState.STARTING, 900.0)
    physics.advance(110.0)
    assert physics.state is InstanceState.SERVING
    physics.submit(Sequence(1, 1, 5, 110.0))
    assert [seq.seq_id for seq in physics.stop(110.0)] == [1]
    assert (physics.state, physics.running, physics.next_step_at()) == (InstanceState.OFF, 0, None)


def test_a_pause_freezes_after_the_running_step() -> None:
    physics = engine()
    physics.submit(Sequence(1, 10, 5, 0.0))
    physics.pause()
    assert len(physics.advance(5.0)) == 1
    assert (physics.running, physics.next_step_at(), physics.power_w(5.0)) == (1, None, 900.0)
    physics.resume(5.0)
    assert sum(event.n_tokens for event in run(physics)) == 4


def test_commands_that_do_not_apply_change_nothing() -> None:
    physics = engine()
    physics.wake(0.0)
    physics.start(0.0)
    assert (physics.state, physics.next_step_at()) == (InstanceState.SERVING, None)
    physics.sleep(0.0)
    physics.sleep(0.0)
    assert physics.next_step_at() == pytest.approx(2.0)


def test_misuse_is_refused() -> None:
    physics = engine(kv_capacity_tokens=50)
    with pytest.raises(ValueError, match=r"40 \+ 20 tokens are more than"):
        physics.submit(Sequence(1, 40, 20, 0.0))
    physics.submit(Sequence(2, 10, 20, 0.0))
    with pytest.raises(ValueError, match=r"advance to 1\.0 s first"):
        physics.sleep(1.0)
    with pytest.raises(ValueError, match="not waking"):
        EnginePhysics(CURVES, 0.0, InstanceState.WAKING)
