"""One emulated engine at work: the physics under the event loop's clock, and the answers it feeds.

All tokens due at the end of a step are sent in one sweep. Requests that come while the engine is paused, asleep or
waking are held and enter the queue when it goes on; they are not counted as waiting, as in vLLM.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from controller.clock import Clock
from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation.batch import Sequence, StepEvent
from controller.simulation.engine import EnginePhysics
from controller.simulation.vllm_answer import Answer, Stream
from controller.simulation.vllm_metrics import EngineGauges, EngineMetrics, RequestRecord
from controller.simulation.vllm_request import ServedModel, answer_tokens
from controller.simulation.vllm_voice import Voice
from controller.simulation.vllm_wire import NO_TURN

TIMER_SLACK_S = 0.0005
"""uvloop rounds timers to whole milliseconds; with this one never fires before its step is due."""


class InFlight(StrEnum):
    """What happens to requests in flight when an engine is paused or put to sleep."""

    ABORT = "abort"
    WAIT = "wait"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """What an emulated engine is.

    Attributes:
        disagreement_frac: share of greedy answers that part from those of the best precision.
    """

    curves: PoolCurves
    served: ServedModel
    precision: str
    state: InstanceState = InstanceState.SERVING
    disagreement_frac: float = 0.0
    gpus: int = 1


class EmulatedEngine:
    """The engine behind one instance's HTTP port.

    Attributes:
        sleep_level: level of the last /sleep while it lasts, None while awake.
        metrics: counters since the process started.
        on_state: called after each change of state.
    """

    def __init__(self, spec: EngineSpec, *, rng: Random, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._rng = rng
        self._ids = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s: float | None = None
        self._streams: dict[int, Stream] = {}
        self._held: dict[int, Stream] = {}
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._state_seen = spec.state
        self._is_draining = False
        self._counters_before = (0, 0, 0)
        self._voice = Voice(spec.precision, spec.disagreement_frac)
        self.spec = spec
        self.physics = EnginePhysics(spec.curves, self._loop.time(), spec.state)
        self.sleep_level: int | None = 1 if spec.state is InstanceState.SLEEPING else None
        self.metrics = EngineMetrics(spec.served.name, clock.wall_s())
        self.on_state: Callable[[], None] | None = None

    @property
    def state(self) -> InstanceState:
        """State of the instance."""
        return self.physics.state

    @property
    def is_broken(self) -> bool:
        """Whether greedy answers are nonsense: not those of a sound engine, and others each time."""
        return self._voice.is_broken

    def break_answers(self, *, broken: bool) -> None:
        """Answer nonsense from now on, or rightly again."""
        self._voice.is_broken = broken

    @property
    def is_paused(self) -> bool:
        """Whether new requests are held: paused, asleep or waking."""
        return self._is_draining or self.physics.paused or self.physics.state is not InstanceState.SERVING

    @property
    def in_flight(self) -> int:
        """Sequences being answered or held."""
        return len(self._streams) + len(self._held)

    @property
    def answers(self) -> int:
        """Requests being answered or held."""
        return len({id(stream.answer) for place in (self._streams, self._held) for stream in place.values()})

    @property
    def since_wall_s(self) -> float:
        """Wall clock since when the instance is in its state."""
        return self._clock.wall_s() - (self._loop.time() - self.physics.since_s)

    def sync(self) -> float:
        """Bring the physics up to now and send what is due; returns the event loop's time."""
        now_s = self._loop.time()
        events = self.physics.advance(now_s)
        if events:
            self._sweep(events)
            self._count_steps(len({event.at_s for event in events}), len(events))
        if self.physics.state is not self._state_seen:
            self._change_state()
        if self._waiters:
            self._tell_waiters()
        self._schedule()
        return now_s

    def submit(self, answer: Answer) -> None:
        """Take up all sequences of a request."""
        now_s = self.sync()
        request = answer.request
        rng = self._rng if request.seed is None else Random(request.seed)
        for prompt, input_tokens in enumerate(request.prompt_tokens):
            turn = NO_TURN
            if request.greedy_keys:
                key = request.greedy_keys[prompt]
                rng, turn = Random(key), self._voice.turn(key, self._rng)
            for _ in range(request.n):
                output_tokens, reason = answer_tokens(request, prompt, self.spec.served, rng)
                seq = Sequence(next(self._ids), input_tokens, output_tokens, now_s)
                answer.add(seq, reason, rng.getrandbits(16) if turn else self._rng.getrandbits(16), turn)
        answer.exchange.on_disconnect = lambda: self._forget(answer)
        for stream in answer.streams:
            if self.is_paused:
                self._held[stream.seq.seq_id] = stream
            else:
                self._enter(stream)
        self._schedule()

    def gauges(self) -> EngineGauges:
        """State for a scrape."""
        self.sync()
        prompt_tokens, generation_tokens, preemptions = self._counters_before
        return EngineGauges(
            running=self.physics.running,
            waiting=self.physics.waiting,
            kv_cache_usage_frac=self.physics.kv_cache_usage_frac,
            kv_capacity_tokens=self.spec.curves.kv_capacity_tokens,
            sleep_level=self.sleep_level,
            prompt_tokens=self.physics.prompt_tokens - prompt_tokens,
            generation_tokens=self.physics.generation_tokens - generation_tokens,
            preemptions=self.physics.preemptions - preemptions,
            precision=self.spec.precision,
        )

    async def pause(self, mode: InFlight) -> None:
        """Begin no further step; returns when requests in flight are dealt with as `mode` says."""
        await self._clear_the_way(mode)
        self.sync()
        self.physics.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        now_s = self.sync()
        self.physics.resume(now_s)
        if not self.is_paused:
            self._release_held()
        self._schedule()

    async def sleep(self, level: int, mode: InFlight) -> None:
        """Fall asleep; returns when it is done. Level 0 only stops the scheduler."""
        if self.sleep_level is None:
            await self._clear_the_way(mode)
            now_s = self.sync()
            self.sleep_level = level
            if level == 0:
                self.physics.pause()
            else:
                self.physics.sleep(now_s)
                self.sync()
        await self._wait_until(lambda: not self.physics.is_changing)

    async def wake(self) -> None:
        """Wake up; returns when the engine serves."""
        now_s = self.sync()
        if self.sleep_level == 0:
            self.sleep_level = None
            self.resume()
            return
        self.physics.wake(now_s)
        self.sync()
        await self._wait_until(lambda: not self.physics.is_changing)

    def start(self) -> None:
        """Start the process of an instance that is off; its state tells when it serves."""
        self.physics.start(self.sync())
        self.sync()

    def stop(self) -> None:
        """End the process at once. What was in flight is lost with it, and its counters begin anew."""
        self.physics.stop(self.sync())
        self._streams.clear()
        self._held.clear()
        self.sleep_level = None
        self.metrics = EngineMetrics(self.spec.served.name, self._clock.wall_s())
        self._counters_before = (
            self.physics.prompt_tokens,
            self.physics.generation_tokens,
            self.physics.preemptions,
        )
        self.sync()

    def close(self) -> None:
        """Stop the timer; the engine is not used afterwards."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, waiter in self._waiters:
            waiter.cancel()

    def _sweep(self, events: list[StepEvent]) -> None:
        """Send the tokens of finished steps. Sequences of one step mostly share the time since their last token."""
        latency = self.metrics.histograms["inter_token_latency_seconds"]
        gap_s, gaps = 0.0, 0
        for seq, _, finished, at_s in events:
            stream = self._streams.get(seq.seq_id)
            if stream is None:
                continue
            stream.tokens += 1
            if stream.tokens == 1:
                self.metrics.observe("time_to_first_token_seconds", at_s - seq.arrived_s)
            elif at_s - stream.last_token_s == gap_s:
                gaps += 1
            else:
                latency.observe(gap_s, gaps)
                gap_s, gaps = at_s - stream.last_token_s, 1
            stream.last_token_s = at_s
            if finished:
                self._finish(stream)
            else:
                stream.answer.token(stream)
        latency.observe(gap_s, gaps)

    def _finish(self, stream: Stream) -> None:
        seq, request = stream.seq, stream.answer.request
        del self._streams[seq.seq_id]
        record = RequestRecord(
            finish_reason=stream.finish_reason,
            prompt_tokens=seq.input_tokens,
            generation_tokens=stream.tokens,
            n=request.n,
            wanted_max_tokens=request.wanted_max_tokens,
            arrived_s=seq.arrived_s,
            scheduled_s=seq.arrived_s if seq.scheduled_s is None else seq.scheduled_s,
            first_token_s=stream.last_token_s if seq.first_token_s is None else seq.first_token_s,
            last_token_s=stream.last_token_s,
        )
        self.metrics.observe_request(record)
        stream.answer.finish(stream)

    def _count_steps(self, steps: int, tokens: int) -> None:
        """Steps that gave tokens: vLLM counts none that computed parts of prompts only."""
        self.metrics.observe("iteration_tokens_total", tokens / steps, steps)

    async def _clear_the_way(self, mode: InFlight) -> None:
        if mode is InFlight.ABORT:
            self.sync()
            for stream in (*self._streams.values(), *self._held.values()):
                self.physics.cancel(stream.seq.seq_id)
                stream.answer.abort(stream)
            self._streams.clear()
            self._held.clear()
        elif mode is InFlight.WAIT:
            self._is_draining = True
            try:
                await self._wait_until(lambda: not self._streams)
            finally:
                self._is_draining = False

    def _enter(self, stream: Stream) -> None:
        self._streams[stream.seq.seq_id] = stream
        self.physics.submit(stream.seq)

    def _release_held(self) -> None:
        held, self._held = self._held, {}
        for stream in held.values():
            self._enter(stream)

    def _forget(self, answer: Answer) -> None:
        """The client left: free the room of its sequences at once."""
        self.sync()
        for stream in answer.streams:
            self._streams.pop(stream.seq.seq_id, None)
            self._held.pop(stream.seq.seq_id, None)
            self.physics.cancel(stream.seq.seq_id)
        self._tell_waiters()

    def _schedule(self) -> None:
        due_s = self.physics.next_step_at()
        if due_s == self._timer_due_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = due_s
        self._timer = None if due_s is None else self._loop.call_at(due_s + TIMER_SLACK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer_due_s = None
        self.sync()

    def _change_state(self) -> None:
        self._state_seen = self.physics.state
        if self.physics.state is InstanceState.SERVING:
            self.sleep_level = None
            self._release_held()
        if self.on_state is not None:
            self.on_state()

    async def _wait_until(self, is_so: Callable[[], bool]) -> None:
        if not is_so():
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append((is_so, waiter))
            await waiter

    def _tell_waiters(self) -> None:
        for is_so, waiter in self._waiters:
            if is_so() and not waiter.done():
                waiter.set_result(None)
        self._waiters = [(is_so, waiter) for is_so, waiter in self._waiters if not waiter.done()]
