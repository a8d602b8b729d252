"""Physics of one vLLM instance with continuous batching: time, tokens, key-value cache and energy. Pure.

It has no clock: whoever drives it says what time it is. A step serves every sequence in the batch at once:

    duration  =  a + b·B + prefill_s_per_token·K                                  [s]
    energy    =  A + C·B + (p0_w·prefill_s_per_token + prefill_j_per_token)·K     [J]

with B sequences that decode one token each and K prompt tokens computed in the step, p0_w = A/a. Power is constant
within a step (energy over duration), so energy grows linearly between two steps. A sequence whose prompt is complete
emits its first token at the end of that step, as vLLM's does.

Outside of steps the power is that of the state:

    serving, without work       idle_w
    falling asleep, waking      idle_w      (weights move over the host bus, the GPUs compute nothing)
    asleep                      sleeping_w
    starting                    idle_w      (weights are loaded from disk)
    off                         off_w

An instance counts as SLEEPING from the moment it is told to sleep; it draws idle_w for the first `sleep_s`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves

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


class EnginePhysics:
    """One instance. Callers pass times that never go back and call `advance` before anything else at a new time.

    The key-value cache holds, for each sequence in the batch, its prompt (reserved whole on admission) and its tokens.
    A waiting sequence is admitted, first come first served, when its prompt fits; when the batch outgrows the cache,
    the newest sequence loses its place and is computed again later, as vLLM does.

    Attributes:
        prompt_tokens, generation_tokens: counters; a prompt counts once, when it is complete.
        energy_j: whole instance, up to the latest time told; it only grows.
        busy_s: time spent in steps, up to the latest time told.
        steps: steps finished.
        preemptions: counter.
        since_s: when the present state began.
    """

    def __init__(
        self,
        curves: PoolCurves,
        now_s: float,
        state: InstanceState = InstanceState.SERVING,
        *,
        max_batched_tokens: int = MAX_BATCHED_TOKENS,
    ) -> None:
        if state not in (InstanceState.SERVING, InstanceState.SLEEPING, InstanceState.OFF):
            raise ValueError(f"an instance begins serving, sleeping or off, not {state}")
        self.curves = curves
        self.state: InstanceState = state
        self.since_s = now_s
        self.prompt_tokens = 0
        self.generation_tokens = 0
        self.preemptions = 0
        self.energy_j = 0.0
        self.busy_s = 0.0
        self.steps = 0
        self.paused = False
        self._max_batched_tokens = max_batched_tokens
        self._at_s = now_s
        self._decoding: list[Sequence] = []
        self._prefilling: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()
        self._by_id: dict[int, Sequence] = {}
        self._held_tokens = 0
        self._step_end_s: float | None = None
        self._step_w = 0.0
        self._transition_end_s: float | None = None

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._decoding) + len(self._prefilling)

    @property
    def waiting(self) -> int:
        """Sequences not yet, or no longer, in the batch."""
        return len(self._waiting)

    @property
    def is_changing(self) -> bool:
        """Whether the instance is falling asleep, waking or starting."""
        return self._transition_end_s is not None

    @property
    def kv_cache_usage_frac(self) -> float:
        """Share of the key-value cache in use."""
        return self._held_tokens / self.curves.kv_capacity_tokens

    def power_w(self, now_s: float) -> float:
        """Power at a time up to which the instance has been advanced."""
        if self._step_end_s is not None and now_s <= self._step_end_s:
            return self._step_w
        if self.state is InstanceState.OFF:
            return self.curves.off_w
        if self.state is InstanceState.SLEEPING and self._transition_end_s is None:
            return self.curves.sleeping_w
        return self.curves.idle_w

    def submit(self, seq: Sequence) -> None:
        """Queue a sequence at its `arrived_s`; while the instance sleeps, wakes or is paused it waits.

        Raises:
            ValueError: the instance is off or starting, or the sequence could never fit in the key-value cache.
        """
        if self.state in (InstanceState.OFF, InstanceState.STARTING):
            raise ValueError(f"sequence {seq.seq_id}: the instance is {self.state} and takes no requests")
        if seq.input_tokens + seq.output_tokens > self.curves.kv_capacity_tokens:
            raise ValueError(
                f"sequence {seq.seq_id}: {seq.input_tokens} + {seq.output_tokens} tokens are more than the key-value "
                f"cache holds ({self.curves.kv_capacity_tokens})"
            )
        self._settle(seq.arrived_s)
        self._by_id[seq.seq_id] = seq
        self._waiting.append(seq)
        if self._step_end_s is None:
            self._begin_step()

    def cancel(self, seq_id: int) -> None:
        """Drop a sequence and free its room at once; one that has ended or is not known is left alone."""
        seq = self._by_id.pop(seq_id, None)
        if seq is None:
            return
        self._release(seq)
        for place in (self._decoding, self._prefilling, self._waiting):
            if seq in place:
                place.remove(seq)
                return

    def next_step_at(self) -> float | None:
        """When the running step or transition ends and `advance` has something to do; None while nothing goes on."""
        return self._transition_end_s if self._step_end_s is None else self._step_end_s

    def advance(self, now_s: float) -> list[StepEvent]:
        """Finish the steps and transitions due until `now_s`; each next step begins when the one before ends."""
        events: list[StepEvent] = []
        while (due_s := self.next_step_at()) is not None and due_s <= now_s:
            self._accrue(due_s)
            if self._step_end_s is None:
                self._end_transition()
            else:
                self._step_end_s = None
                self._finish_step(due_s, events)
            self._begin_step()
        self._accrue(max(now_s, self._at_s))
        return events

    def pause(self) -> None:
        """Begin no further step after the one that runs."""
        self.paused = True

    def resume(self, now_s: float) -> None:
        """Go on after a pause."""
        self.paused = False
        self._settle(now_s)
        if self._step_end_s is None:
            self._begin_step()

    def sleep(self, now_s: float) -> None:
        """Fall asleep. Sequences in the batch lose their cache and are computed again after the wake."""
        if self.state is not InstanceState.SERVING:
            return
        self._settle(now_s)
        self._step_end_s = None
        for seq in [*reversed(self._prefilling), *reversed(self._decoding)]:
            self._preempt(seq)
        self._enter(InstanceState.SLEEPING, self.curves.sleep_s)

    def wake(self, now_s: float) -> None:
        """Wake up; an instance still falling asleep finishes that first."""
        if self.state is not InstanceState.SLEEPING:
            return
        self._settle(now_s)
        rest_s = 0.0 if self._transition_end_s is None else self._transition_end_s - now_s
        self._enter(InstanceState.WAKING, rest_s + self.curves.wake_s)

    def start(self, now_s: float) -> None:
        """Start the process of an instance that is off."""
        if self.state is not InstanceState.OFF:
            return
        self._settle(now_s)
        self._enter(InstanceState.STARTING, self.curves.start_s)

    def stop(self, now_s: float) -> tuple[Sequence, ...]:
        """End the process at once; returns the sequences that are lost with it. Counters stay."""
        self._settle(now_s)
        lost = tuple(self._by_id.values())
        for place in (self._decoding, self._prefilling, self._waiting, self._by_id):
            place.clear()
        self._held_tokens = 0
        self._step_end_s = None
        self.paused = False
        self._enter(InstanceState.OFF, None)
        return lost

    def _enter(self, state: InstanceState, duration_s: float | None) -> None:
        self.state = state
        self.since_s = self._at_s
        self._transition_end_s = None if duration_s is None else self._at_s + duration_s

    def _end_transition(self) -> None:
        self._transition_end_s = None
        if self.state in (InstanceState.WAKING, InstanceState.STARTING):
            self.state = InstanceState.SERVING
            self.since_s = self._at_s

    def _settle(self, now_s: float) -> None:
        due_s = self.next_step_at()
        if due_s is not None and due_s <= now_s:
            raise ValueError(f"a step or transition is due at {due_s} s; advance to {now_s} s first")
        self._accrue(max(now_s, self._at_s))

    def _accrue(self, until_s: float) -> None:
        passed_s = until_s - self._at_s
        self.energy_j += self.power_w(until_s) * passed_s
        if self._step_end_s is not None:
            self.busy_s += passed_s
        self._at_s = until_s

    def _release(self, seq: Sequence) -> None:
        self._held_tokens -= seq.held_tokens
        seq.held_tokens = 0
        seq.computed = 0

    def _preempt(self, seq: Sequence) -> None:
        (self._prefilling if seq in self._prefilling else self._decoding).remove(seq)
        self._release(seq)
        self._waiting.appendleft(seq)
        self.preemptions += 1

    def _make_room(self) -> None:
        """Preempt the newest until each decoding sequence has room for its next token."""
        room = self.curves.kv_capacity_tokens - self._held_tokens
        while room < len(self._decoding) and self.running > 1:
            newest = self._prefilling[-1] if self._prefilling else self._decoding[-1]
            room += newest.held_tokens
            self._preempt(newest)

    def _admit(self, budget: int) -> None:
        """Move waiting sequences into the batch while there is room and budget for their prompts."""
        room = self.curves.kv_capacity_tokens - self._held_tokens - self.running
        places = self.curves.max_num_seqs - self.running
        while self._waiting and places > 0 and budget > 0:
            seq = self._waiting[0]
            needed = seq.input_tokens + seq.generated
            if needed + 1 > room:
                return
            self._waiting.popleft()
            self._prefilling.append(seq)
            seq.held_tokens = needed
            self._held_tokens += needed
            if seq.scheduled_s is None:
                seq.scheduled_s = self._at_s
            room -= needed + 1
            places -= 1
            budget -= needed

    def _begin_step(self) -> None:
        if self.paused or self.state is not InstanceState.SERVING or not self._by_id:
            return
        self._make_room()
        batch = len(self._decoding)
        budget = self._max_batched_tokens - batch
        begun = sum(seq.input_tokens + seq.generated - seq.computed for seq in self._prefilling)
        self._admit(budget - begun)
        left = budget
        for seq in self._prefilling:
            seq.chunk = max(0, min(left, seq.input_tokens + seq.generated - seq.computed))
            left -= seq.chunk
        prefilled = budget - left
        curves = self.curves
        prefill_s = curves.prefill_s_per_token * prefilled
        duration_s = curves.step_base_s + curves.step_per_seq_s * batch + prefill_s
        energy_j = curves.step_base_j + curves.step_per_seq_j * batch
        energy_j += curves.p0_w * prefill_s + curves.prefill_j_per_token * prefilled
        self._step_w = energy_j / duration_s
        self._step_end_s = self._at_s + duration_s

    def _finish_step(self, at_s: float, events: list[StepEvent]) -> None:
        ended = False
        self.steps += 1
        self._held_tokens += len(self._decoding)
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
            self._held_tokens += 1
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
