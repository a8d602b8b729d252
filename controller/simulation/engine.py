"""Physics of one vLLM instance with continuous batching: time, tokens and energy. Pure.

It has no clock: whoever drives it says what time it is. A step serves every sequence in the batch (`simulation.batch`)
at once:

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

from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation.batch import MAX_BATCHED_TOKENS, Batch, Sequence, StepEvent


class EnginePhysics:
    """One instance. Callers pass times that never go back and call `advance` before anything else at a new time.

    Attributes:
        energy_j: whole instance, up to the latest time told; it only grows.
        busy_s: time spent in steps, up to the latest time told.
        steps: steps finished.
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
        self.energy_j = 0.0
        self.busy_s = 0.0
        self.steps = 0
        self.paused = False
        self._at_s = now_s
        self._batch = Batch(curves.kv_capacity_tokens, curves.max_num_seqs, max_batched_tokens)
        self._step_end_s: float | None = None
        self._step_w = 0.0
        self._transition_end_s: float | None = None

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return self._batch.running

    @property
    def waiting(self) -> int:
        """Sequences not yet, or no longer, in the batch."""
        return self._batch.waiting

    @property
    def prompt_tokens(self) -> int:
        """Counter; a prompt counts once, when it is complete."""
        return self._batch.prompt_tokens

    @property
    def generation_tokens(self) -> int:
        """Counter."""
        return self._batch.generation_tokens

    @property
    def preemptions(self) -> int:
        """Counter."""
        return self._batch.preemptions

    @property
    def is_changing(self) -> bool:
        """Whether the instance is falling asleep, waking or starting."""
        return self._transition_end_s is not None

    @property
    def kv_cache_usage_frac(self) -> float:
        """Share of the key-value cache in use."""
        return self._batch.held_tokens / self.curves.kv_capacity_tokens

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
        self._batch.check_fits(seq)
        self._settle(seq.arrived_s)
        self._batch.add(seq)
        if self._step_end_s is None:
            self._begin_step()

    def cancel(self, seq_id: int) -> None:
        """Drop a sequence and free its room at once; one that has ended or is not known is left alone."""
        self._batch.drop(seq_id)

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
                self.steps += 1
                self._batch.finish_step(due_s, events)
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
        self._batch.preempt_all()
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
        lost = self._batch.clear()
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

    def _begin_step(self) -> None:
        if self.paused or self.state is not InstanceState.SERVING or self._batch.is_empty:
            return
        batch, prefilled = self._batch.begin_step(self._at_s)
        curves = self.curves
        prefill_s = curves.prefill_s_per_token * prefilled
        duration_s = curves.step_base_s + curves.step_per_seq_s * batch + prefill_s
        energy_j = curves.step_base_j + curves.step_per_seq_j * batch
        energy_j += curves.p0_w * prefill_s + curves.prefill_j_per_token * prefilled
        self._step_w = energy_j / duration_s
        self._step_end_s = self._at_s + duration_s
