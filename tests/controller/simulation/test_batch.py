from __future__ import annotations

import pytest

from controller.simulation.batch import MAX_BATCHED_TOKENS, Batch, Sequence, StepEvent


def batch_of(
    *sequences: Sequence,
    kv_capacity_tokens: int = 10_000,
    max_num_seqs: int = 16,
    max_batched_tokens: int = MAX_BATCHED_TOKENS,
) -> Batch:
    batch = Batch(kv_capacity_tokens, max_num_seqs, max_batched_tokens)
    for seq in sequences:
        batch.check_fits(seq)
        batch.add(seq)
    return batch


def step(batch: Batch, at_s: float = 1.0) -> list[StepEvent]:
    batch.begin_step(at_s - 0.5)
    events: list[StepEvent] = []
    batch.finish_step(at_s, events)
    return events


def test_the_first_token_comes_with_the_end_of_the_prompt() -> None:
    seq = Sequence(1, input_tokens=100, output_tokens=2, arrived_s=0.0)
    batch = batch_of(seq)
    assert (batch.running, batch.waiting) == (0, 1)
    assert batch.begin_step(2.0) == (0, 100)
    assert (batch.running, batch.waiting, batch.held_tokens) == (1, 0, 100)
    events: list[StepEvent] = []
    batch.finish_step(3.0, events)
    assert events == [StepEvent(seq, 1, False, 3.0)]
    assert (seq.scheduled_s, seq.first_token_s) == (2.0, 3.0)
    assert (batch.prompt_tokens, batch.generation_tokens) == (100, 1)
    assert batch.begin_step(3.0) == (1, 0)
    batch.finish_step(4.0, events)
    assert events[-1].finished
    assert (batch.is_empty, batch.held_tokens) == (True, 0)


def test_prompts_take_the_tokens_that_decoding_leaves_of_a_step() -> None:
    batch = batch_of(Sequence(1, 5, 50, 0.0), max_batched_tokens=100)
    step(batch)
    batch.add(Sequence(2, 250, 1, 0.0))
    computed = []
    while batch.prompt_tokens < 255:
        computed.append(batch.begin_step(2.0))
        batch.finish_step(2.0, [])
    assert computed == [(1, 99), (1, 99), (1, 52)]


def test_no_more_than_the_batch_holds_are_admitted_and_in_the_order_they_came() -> None:
    batch = batch_of(*(Sequence(n, 10, 1, 0.0) for n in range(5)), max_num_seqs=2)
    assert [[event.seq.seq_id for event in step(batch)] for _ in range(3)] == [[0, 1], [2, 3], [4]]


def test_a_prompt_that_does_not_fit_waits_and_holds_back_those_behind_it() -> None:
    batch = batch_of(Sequence(1, 60, 20, 0.0), Sequence(2, 60, 20, 0.0), Sequence(3, 1, 1, 0.0), kv_capacity_tokens=100)
    assert {event.seq.seq_id for event in step(batch)} == {1}
    assert batch.waiting == 2


def test_the_newest_loses_its_place_where_the_cache_is_full_and_its_prompt_counts_once() -> None:
    old, new = Sequence(1, 40, 55, 0.0), Sequence(2, 40, 55, 0.0)
    batch = batch_of(old, new, kv_capacity_tokens=100)
    while not batch.preemptions:
        step(batch)
    assert (batch.running, batch.waiting, new.computed) == (1, 1, 0)
    events: list[StepEvent] = []
    while not batch.is_empty:
        assert batch.held_tokens <= 100
        events += step(batch)
    assert [event.seq.seq_id for event in events if event.finished] == [1, 2]
    assert (batch.prompt_tokens, batch.generation_tokens) == (80, 110)


def test_dropping_frees_room_and_leaves_others_alone() -> None:
    batch = batch_of(Sequence(1, 60, 20, 0.0), Sequence(2, 60, 20, 0.0), kv_capacity_tokens=100)
    step(batch)
    batch.drop(1)
    batch.drop(1)
    batch.drop(99)
    assert (batch.held_tokens, batch.waiting) == (0, 1)
    assert {event.seq.seq_id for event in step(batch)} == {2}


def test_preempted_sequences_wait_in_their_order_and_keep_their_tokens() -> None:
    first, second = Sequence(1, 10, 5, 0.0), Sequence(2, 10, 5, 0.0)
    batch = batch_of(first, second)
    step(batch)
    batch.preempt_all()
    assert (batch.running, batch.waiting, batch.held_tokens, batch.preemptions) == (0, 2, 0, 2)
    # Prompt and the token that each had got are computed again, and the next token comes with them.
    assert batch.begin_step(2.0) == (0, 22)
    events: list[StepEvent] = []
    batch.finish_step(2.0, events)
    assert [(event.seq.seq_id, event.seq.generated) for event in events] == [(1, 2), (2, 2)]


def test_clearing_tells_what_is_lost_and_keeps_the_counters() -> None:
    batch = batch_of(Sequence(1, 10, 5, 0.0), Sequence(2, 10, 5, 0.0), max_num_seqs=1)
    step(batch)
    assert [seq.seq_id for seq in batch.clear()] == [1, 2]
    assert (batch.is_empty, batch.held_tokens, batch.running, batch.waiting) == (True, 0, 0, 0)
    assert (batch.prompt_tokens, batch.generation_tokens) == (10, 1)


def test_what_could_never_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sequence 7: 40 \+ 20 tokens are more than the key-value cache holds \(50\)"):
        batch_of(Sequence(7, 40, 20, 0.0), kv_capacity_tokens=50)
