"""Continuous batching of one vLLM instance: which sequences a step serves, and their key-value cache. Pure.

The cache holds, for each sequence in the batch, its prompt (reserved whole on admission) and its tokens. A waiting
sequence is admitted, first come first served, when its prompt fits; when the batch outgrows the cache, the newest
sequence loses its place and is computed again later, as vLLM does.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

MAX_BATCHED_TOKENS = 8192
"""Tokens computed in one step at most; vLLM's default max_num_batched_tokens for serving on H100."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One answer being generated.

    Attributes:
        output_tokens: tokens after which it ends.
        generated: tokens emitted so far.
        computed: tokens of prompt (and, after a preemption, of the answer so far) in the key-value cache.
        scheduled_s: when it first entered the batch.
        first_token_s: when its first token was emitted.
    """

    seq_id: int
    input_tokens: int
    output_tokens: int
    arrived_s: float
    generated: int = 0
    computed: int = 0
    chunk: int = 0
    held_tokens: int = 0
    scheduled_s: float | None = None
    first_token_s: float | None = None


class StepEvent(NamedTuple):
    """Tokens that a sequence got at the end of a step."""

    seq: Sequence
    n_tokens: int
    finished: bool
    at_s: float


class Batch:
    """The sequences of one instance. `begin_step` and `finish_step` are called in turns.

    Attributes:
        held_tokens: tokens in the key-value cache.
        prompt_tokens, generation_tokens: counters; a prompt counts once, when it is complete.
        preemptions: counter.
    """

    def __init__(self, kv_capacity_tokens: int, max_num_seqs: int, max_batched_tokens: int) -> None:
        self._kv_capacity_tokens = kv_capacity_tokens
        self._max_num_seqs = max_num_seqs
        self._max_batched_tokens = max_batched_tokens
        self._decoding: list[Sequence] = []
        self._prefilling: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()
        self._by_id: dict[int, Sequence] = {}
        self.held_tokens = 0
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._decoding) + len(self._prefilling)

    @property
    def waiting(self) -> int:
        """Sequences not yet, or no longer, in the batch."""
        return len(self._waiting)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to serve."""
        return not self._by_id

    def check_fits(self, seq: Sequence) -> None:
        """See that a sequence can be served at all.

        Raises:
            ValueError: it could never fit in the key-value cache.
        """
        if seq.input_tokens + seq.output_tokens > self._kv_capacity_tokens:
            raise ValueError(
                f"sequence {seq.seq_id}: {seq.input_tokens} + {seq.output_tokens} tokens are more than the key-value "
                f"cache holds ({self._kv_capacity_tokens})"
            )

    def add(self, seq: Sequence) -> None:
        """Let a sequence that fits wait for its place."""
        self._by_id[seq.seq_id] = seq
        self._waiting.append(seq)

    def drop(self, seq_id: int) -> None:
        """Drop a sequence and free its room at once; one that has ended or is not known is left alone."""
        seq = self._by_id.pop(seq_id, None)
        if seq is None:
            return
        self._release(seq)
        for place in (self._decoding, self._prefilling, self._waiting):
            if seq in place:
                place.remove(seq)
                return

    def preempt_all(self) -> None:
        """Let all sequences wait again, without their cache."""
        for seq in [*reversed(self._prefilling), *reversed(self._decoding)]:
            self._preempt(seq)

    def clear(self) -> tuple[Sequence, ...]:
        """Drop everything; returns what was dropped. Counters stay."""
        lost = tuple(self._by_id.values())
        for place in (self._decoding, self._prefilling, self._waiting, self._by_id):
            place.clear()
        self.held_tokens = 0
        return lost

    def begin_step(self, now_s: float) -> tuple[int, int]:
        """Choose what a step computes: sequences that decode one token each, and tokens of prompts."""
        self._make_room()
        batch = len(self._decoding)
        budget = self._max_batched_tokens - batch
        begun = sum(seq.input_tokens + seq.generated - seq.computed for seq in self._prefilling)
        self._admit(budget - begun, now_s)
        left = budget
        for seq in self._prefilling:
            seq.chunk = max(0, min(left, seq.input_tokens + seq.generated - seq.computed))
            left -= seq.chunk
        return batch, budget - left

    def finish_step(self, at_s: float, events: list[StepEvent]) -> None:
        """Give the sequences of a step their tokens and let go of those that end; adds to `events`."""
        ended = False
        self.held_tokens += len(self._decoding)
        self.generation_tokens += len(self._decoding)
        for seq in self._decoding:
            seq.generated += 1
            seq.held_tokens += 1
            finished = seq.generated >= seq.output_tokens
            ended = ended or finished
            events.append(StepEvent(seq, 1, finished, at_s))
        if ended:
            self._decoding = [seq for seq in self._decoding if not self._end(seq)]
        if self._prefilling:
            self._finish_chunks(at_s, events)

    def _release(self, seq: Sequence) -> None:
        self.held_tokens -= seq.held_tokens
        seq.held_tokens = 0
        seq.computed = 0

    def _preempt(self, seq: Sequence) -> None:
        (self._prefilling if seq in self._prefilling else self._decoding).remove(seq)
        self._release(seq)
        self._waiting.appendleft(seq)
        self.preemptions += 1

    def _make_room(self) -> None:
        """Preempt the newest until each decoding sequence has room for its next token."""
        room = self._kv_capacity_tokens - self.held_tokens
        while room < len(self._decoding) and self.running > 1:
            newest = self._prefilling[-1] if self._prefilling else self._decoding[-1]
            room += newest.held_tokens
            self._preempt(newest)

    def _admit(self, budget: int, now_s: float) -> None:
        """Move waiting sequences into the batch while there is room and budget for their prompts."""
        room = self._kv_capacity_tokens - self.held_tokens - self.running
        places = self._max_num_seqs - self.running
        while self._waiting and places > 0 and budget > 0:
            seq = self._waiting[0]
            needed = seq.input_tokens + seq.generated
            if needed + 1 > room:
                return
            self._waiting.popleft()
            self._prefilling.append(seq)
            seq.held_tokens = needed
            self.held_tokens += needed
            if seq.scheduled_s is None:
                seq.scheduled_s = now_s
            room -= needed + 1
            places -= 1
            budget -= needed

    def _finish_chunks(self, at_s: float, events: list[StepEvent]) -> None:
        unfinished: list[Sequence] = []
        for seq in self._prefilling:
            seq.computed += seq.chunk
            if seq.computed < seq.input_tokens + seq.generated:
                unfinished.append(seq)
                continue
            if seq.first_token_s is None:
                self.prompt_tokens += seq.input_tokens
                seq.first_token_s = at_s
            seq.generated += 1
            seq.held_tokens += 1
            self.held_tokens += 1
            self.generation_tokens += 1
            events.append(StepEvent(seq, 1, seq.generated >= seq.output_tokens, at_s))
            if not self._end(seq):
                self._decoding.append(seq)
        self._prefilling = unfinished

    def _end(self, seq: Sequence) -> bool:
        """Let go of a sequence that has all its tokens."""
        if seq.generated < seq.output_tokens:
            return False
        self._release(seq)
        del self._by_id[seq.seq_id]
        return True
