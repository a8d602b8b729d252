"""One instance serving requests of which the flexible ones may be held: energy and wait. Pure.

The instance is the emulator's own physics (`controller.simulation.engine`), step by step. Holding gathers flexible
requests so that they share steps, and leaves the instance without work, or asleep, in between.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.model.observation import InstanceState
from controller.model.perf import PoolCurves
from controller.simulation import batch
from controller.simulation.engine import EnginePhysics
from controller.simulation.latency import Latencies
from controller.study.batching.arrivals import Job


class Hold(StrEnum):
    """When a flexible request goes to the instance."""

    NEVER = "as they come"
    GATHER = "gathered"
    """With the first one held, when that one has been held long enough."""
    RIDE = "held while idle"
    """At once while the instance works; else when something else sets it to work, or when held long enough."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How flexible requests are treated.

    Attributes:
        hold_s: longest time a request is held.
        sleeps: whether the instance sleeps while nothing can be released; it wakes in time for the release.
    """

    hold: Hold
    hold_s: float = 0.0
    sleeps: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """What came of it.

    Attributes:
        energy_j: of the instance, from the start to `until_s`, or to the last token where that is later.
        batch_mean: sequences that got a token in a step; None without a step.
        busy_frac: share of the time spent in steps.
        held_mean_s, held_max_s: time flexible requests were held; None without any.
        ttft_p95_s: from arrival to the first token, of requests that may not be held; None without any.
        flex_ttft_p95_s: the same of flexible ones, holding included.
    """

    energy_j: float
    output_tokens: int
    duration_s: float
    batch_mean: float | None
    busy_frac: float
    held_mean_s: float | None
    held_max_s: float | None
    ttft_p95_s: float | None
    flex_ttft_p95_s: float | None

    @property
    def j_per_output_token(self) -> float:
        """Energy of an output token, all of the instance's power counted."""
        return self.energy_j / self.output_tokens

    @property
    def mean_w(self) -> float:
        """Mean power."""
        return self.energy_j / self.duration_s


def serve(curves: PoolCurves, jobs: Sequence[Job], policy: Policy, until_s: float) -> Served:
    """Serve all requests. Runs that are compared have the same `until_s`, past the last release of each.

    Raises:
        ValueError: there are none, or one does not fit in the instance's key-value cache.
    """
    if not jobs:
        raise ValueError("there are no requests to serve; raise the rate or the duration")
    if policy.sleeps and any(not job.is_flex for job in jobs):
        raise ValueError("the instance cannot sleep while requests that may not be held can come; make all flexible")
    return _Instance(curves, policy).run(deque(jobs), until_s)


class _Instance:
    """One run: time goes from event to event (arrival, release, wake, end of a step)."""

    def __init__(self, curves: PoolCurves, policy: Policy) -> None:
        self._curves = curves
        self._policy = policy
        self._engine = EnginePhysics(curves, 0.0)
        self._held: list[Job] = []
        self._held_s: list[float] = []
        self._running: list[tuple[Job, batch.Sequence]] = []
        self._now_s = 0.0

    def run(self, jobs: deque[Job], until_s: float) -> Served:
        self._fall_asleep()
        while jobs or self._held or self._is_working:
            due_s = self._next_event(jobs)
            step_s = self._engine.next_step_at()
            if step_s is not None and step_s <= due_s:
                self._advance(step_s)
                self._fall_asleep()
                continue
            self._advance(due_s)
            if self._held and self._release_s <= due_s:
                self._release()
            elif jobs and jobs[0].time_s <= due_s:
                self._arrive(jobs.popleft())
            else:
                self._engine.wake(due_s)
        end_s = max(self._now_s, until_s)
        self._engine.advance(end_s)
        return self._served(end_s)

    @property
    def _is_working(self) -> bool:
        return bool(self._engine.running or self._engine.waiting)

    @property
    def _release_s(self) -> float:
        return self._held[0].time_s + self._policy.hold_s if self._held else math.inf

    def _next_event(self, jobs: deque[Job]) -> float:
        arrival_s = jobs[0].time_s if jobs else math.inf
        return max(self._now_s, min(arrival_s, self._release_s, self._wake_s()))

    def _wake_s(self) -> float:
        """When a sleeping instance has to begin waking for the next release."""
        if self._engine.state is not InstanceState.SLEEPING:
            return math.inf
        return self._release_s - self._curves.wake_s

    def _advance(self, to_s: float) -> None:
        self._engine.advance(to_s)
        self._now_s = to_s

    def _arrive(self, job: Job) -> None:
        holds = job.is_flex and self._policy.hold is not Hold.NEVER
        if holds and not (self._policy.hold is Hold.RIDE and self._is_working):
            self._held.append(job)
            return
        self._submit(job)
        if self._policy.hold is Hold.RIDE:
            self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for job in held:
            self._submit(job)

    def _submit(self, job: Job) -> None:
        number = len(self._running)
        seq = batch.Sequence(number, job.input_tokens, job.output_tokens, self._now_s)
        if job.is_flex:
            self._held_s.append(self._now_s - job.time_s)
        self._running.append((job, seq))
        self._engine.submit(seq)

    def _fall_asleep(self) -> None:
        """Sleep where nothing can be released for longer than it takes to fall asleep and wake."""
        curves = self._curves
        earliest_s = min(self._release_s, self._now_s + self._policy.hold_s)
        rests = earliest_s - self._now_s > curves.sleep_s + curves.wake_s
        if self._policy.sleeps and rests and not self._is_working and not self._engine.is_changing:
            self._engine.sleep(self._now_s)

    def _served(self, end_s: float) -> Served:
        physics = self._engine
        firm, flex = Latencies(), Latencies()
        for job, seq in self._running:
            if seq.first_token_s is not None:
                (flex if job.is_flex else firm).add(seq.first_token_s - job.time_s)
        return Served(
            energy_j=physics.energy_j,
            output_tokens=physics.generation_tokens,
            duration_s=end_s,
            batch_mean=physics.generation_tokens / physics.steps if physics.steps else None,
            busy_frac=physics.busy_s / end_s,
            held_mean_s=sum(self._held_s) / len(self._held_s) if self._held_s else None,
            held_max_s=max(self._held_s) if self._held_s else None,
            ttft_p95_s=firm.quantile_s(0.95),
            flex_ttft_p95_s=flex.quantile_s(0.95),
        )
