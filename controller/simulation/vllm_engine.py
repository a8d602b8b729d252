"""One emulated engine at work: the physics under the event loop's clock, and the answers it feeds.

All tokens due at the end of a step are sent in one sweep. Requests that come while the engine is paused, asleep or
waking are held and enter the queue when it goes on; they are not counted as waiting, as in vLLM.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from controller.clock import Clock
from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation.batch import Sequence
from controller.simulation.engine import EnginePhysics
from controller.simulation.vllm_answer import Answer
from controller.simulation.vllm_metrics import EngineGauges, EngineMetrics
from controller.simulation.vllm_request import ServedModel, answer_tokens
from controller.simulation.vllm_streams import Streams
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


PARTS = ("weights", "kv_cache")
"""What sleeps of an engine, by vLLM's names."""


class EmulatedEngine:
    """The engine behind one instance's HTTP port.

    Attributes:
        sleep_level: level of the last /sleep while it lasts, None while awake.
        asleep: parts that a sleep of level 2 has left to be woken.
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
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._state_seen = spec.state
        self._is_draining = False
        self._counters_before = (0, 0, 0)
        self._voice = Voice(spec.precision, spec.disagreement_frac)
        self.spec = spec
        self.physics = EnginePhysics(spec.curves, self._loop.time(), spec.state)
        self._streams = Streams(self.physics)
        self.sleep_level: int | None = 1 if spec.state is InstanceState.SLEEPING else None
        self.asleep: set[str] = set()
        self._has_lost_weights = False
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
        return self._streams.count

    @property
    def answers(self) -> int:
        """Requests being answered or held."""
        return self._streams.answers

    @property
    def since_wall_s(self) -> float:
        """Wall clock since when the instance is in its state."""
        return self._clock.wall_s() - (self._loop.time() - self.physics.since_s)

    def sync(self) -> float:
        """Bring the physics up to now and send what is due; returns the event loop's time."""
        now_s = self._loop.time()
        self._streams.send(self.physics.advance(now_s), self.metrics)
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
                self._streams.hold(stream)
            else:
                self._streams.enter(stream)
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
            self._streams.let_in()
        self._schedule()

    async def sleep(self, level: int, mode: InFlight) -> None:
        """Fall asleep; returns when it is done. Level 0 only stops the scheduler."""
        if self.sleep_level is None:
            await self._clear_the_way(mode)
            now_s = self.sync()
            self.sleep_level = level
            if level == 2:
                self.asleep, self._has_lost_weights = set(PARTS), True
            if level == 0:
                self.physics.pause()
            else:
                self.physics.sleep(now_s)
                self.sync()
        await self._wait_until(lambda: not self.physics.is_changing)

    def reload_weights(self) -> None:
        """Read the weights anew.

        Raises:
            ValueError: their memory is not there.
        """
        if self.state is InstanceState.SLEEPING and (self.sleep_level == 1 or "weights" in self.asleep):
            raise ValueError("the weights' memory is asleep")
        if self._has_lost_weights:
            self._has_lost_weights = self._voice.is_broken = False

    async def wake(self, parts: Collection[str] = PARTS) -> None:
        """Wake up; returns when the engine serves, or, of a sleep of level 2, when these parts are awake.

        One whose weights were not read anew since a sleep of level 2 answers nonsense.
        """
        now_s = self.sync()
        if self.sleep_level == 2:
            self.asleep -= set(parts)
            if self.asleep:
                return
            self._voice.is_broken = self._voice.is_broken or self._has_lost_weights
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
        self.sleep_level = None
        self.asleep, self._has_lost_weights = set(), False
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

    async def _clear_the_way(self, mode: InFlight) -> None:
        if mode is InFlight.ABORT:
            self.sync()
            self._streams.abort()
        elif mode is InFlight.WAIT:
            self._is_draining = True
            try:
                await self._wait_until(lambda: not self._streams.has_entered)
            finally:
                self._is_draining = False

    def _forget(self, answer: Answer) -> None:
        """The client left: free the room of its sequences at once."""
        self.sync()
        self._streams.forget(answer)
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
            self._streams.let_in()
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
