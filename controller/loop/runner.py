"""The control loop: read, decide, publish, actuate, record, and tell.

Signals are read every `sample_s`, so that metrics, page and records have measured power at that pace; every `tick_s`
the latest observation is decided upon, in a thread, as a solver may take seconds. One decision runs at a time. No
single failure ends the loop, and none is silent: each is logged, counted, and stands on the ladder until it is over.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.actuators.instance_tasks import InstanceTasks
from controller.clock import Clock
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.triggers import EventsKey, events_key
from controller.loop.announce import Announcer
from controller.loop.continuity import Keep
from controller.loop.custody import Custody
from controller.loop.energy_desk import EnergyDesk
from controller.loop.execution import Execution, ExecutionParts
from controller.loop.faults import Faults
from controller.loop.leadership import Leadership, SoleLeader
from controller.loop.load_desk import LoadDesk
from controller.loop.records import Records
from controller.loop.status import Status, decision_record, sample_record, summary_of
from controller.metrics.telemetry import Telemetry
from controller.model.observation import InstanceObservation, Missing, Observation
from controller.ports import Actuator, ObservationSource, Recorder
from controller.signals.energy_meter import EnergyMeter
from controller.store import decisions
from controller.tick import Decision, Memory

log = logging.getLogger(__name__)

SAMPLE_KIND = "sample"
Decide = Callable[[Memory, Observation], Decision]
AfterStep = Callable[[Memory, tuple[Sleeper, ...], float, float], Memory]
"""The memory after the clock was set ahead by the third, s; the fourth is what it shows now."""


@dataclass(frozen=True, slots=True)
class RunnerParts:
    """What the loop works with.

    Attributes:
        decide: pure; called in a thread.
        at_once: the same without planning instances anew, for what has to be told at once; None where there is none.
        publishers: each gets every table that is to be published.
        custody: knows which instances sleep by the controller's command.
        keep: keeps what must outlast the process, before a tick acts; None keeps nothing.
        desk: keeps the account of requests' energy; None keeps none.
        loads: tells routers what was read of the engines; None tells them nothing.
        after_step: the memory after the clock was set; None leaves it.
        leadership: whether this controller is the one that acts.
        watchers: called with each status; one that fails is told and called again the next time.
    """

    source: ObservationSource
    decide: Decide
    publishers: tuple[Actuator, ...]
    instances: InstanceTasks
    custody: Custody
    recorder: Recorder
    telemetry: Telemetry
    clock: Clock
    at_once: Decide | None = None
    keep: Keep | None = None
    desk: EnergyDesk | None = None
    loads: LoadDesk | None = None
    after_step: AfterStep | None = None
    leadership: Leadership = field(default_factory=SoleLeader)
    watchers: tuple[Callable[[Status], None], ...] = ()


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """Paces and deadlines; a decision that takes longer than `late_after_s` is told as late, and waited for."""

    tick_s: float = 5.0
    sample_s: float = 1.0
    publish_timeout_s: float = 3.0
    late_after_s: float = 10.0


class Runner:
    """Runs the loop until it is told to stop."""

    def __init__(self, parts: RunnerParts, memory: Memory, options: RunnerOptions | None = None) -> None:
        self._parts = parts
        self._options = options or RunnerOptions()
        self._memory = memory
        self._meter = EnergyMeter()
        self._faults = Faults(parts.telemetry.take_fault, parts.clock.wall_s)
        self._records = Records(parts.recorder, parts.desk, self._faults, parts.clock.wall_s)
        doing = ExecutionParts(
            parts.publishers,
            parts.instances,
            parts.custody,
            parts.keep,
            self._records,
            parts.telemetry,
            self._options.publish_timeout_s,
            parts.leadership,
        )
        self._execution = Execution(doing, self._faults)
        self._decision: Decision | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._tick_began_s = 0.0
        self._next_tick_s = parts.clock.monotonic_s()
        self._stop, self._hurry, self._wake = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._is_hasty = False
        self._events: EventsKey = ()
        self._step_s = 0.0
        self._announcer = Announcer()
        self.status: Status | None = None

    @property
    def is_ready(self) -> bool:
        """Whether a decision has been made."""
        return self._decision is not None

    def stop(self) -> None:
        """End the loop after its current step; told again, without waiting for instances that wake."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    def hasten(self) -> None:
        """Read and decide now, because something has changed: first what routers are told, then the instances."""
        self._next_tick_s = self._parts.clock.monotonic_s()
        self._is_hasty = True
        self._wake.set()

    def clock_set(self, step_s: float, now_s: float) -> None:
        """The clock was set ahead by so much, s: the next decision is made at once, from a memory that knows it."""
        self._step_s += step_s
        self.hasten()

    async def run(self) -> None:
        """Run until `stop`, then wait for the decision that is being made, give back what sleeps, and end the tasks."""
        clock, options = self._parts.clock, self._options
        next_sample_s = clock.monotonic_s()
        try:
            while not self._stop.is_set():
                began_s = clock.monotonic_s()
                await self._sample()
                next_sample_s = max(min(next_sample_s, began_s) + options.sample_s, clock.monotonic_s())
                await self._pause(next_sample_s - clock.monotonic_s())
        finally:
            if self._ticking is not None:
                await asyncio.gather(self._ticking, return_exceptions=True)
            has_heir = await self._parts.leadership.find_heir()
            if self._acts and not has_heir:
                await self._parts.custody.leave(self._decision, self._look, self._hurry)
            await self._parts.instances.close()
            await self._execution.take_outcomes(clock.wall_s())
            await self._execution.leave(self._memory, clock.wall_s())
            await self._records.close()

    @property
    def _acts(self) -> bool:
        """Whether the last decision was carried out."""
        return self._decision is not None and self._decision.publish and self._parts.leadership.may_act()

    async def _look(self) -> tuple[InstanceObservation, ...]:
        observation = await self._parts.source.read(self._parts.clock.wall_s())
        return self._parts.instances.overlay(observation.instances)

    async def _pause(self, duration_s: float) -> None:
        """Wait, but not beyond the order to stop or to hasten."""
        ends = (self._parts.clock.sleep(duration_s), self._stop.wait(), self._wake.wait())
        waits = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wake.clear()
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _sample(self) -> None:
        """Read once, tell what was read, and begin a decision if one is due.

        What was read counts as of when it is there: a process that stood still meanwhile decides for now, not for then.
        """
        try:
            observation = await self._parts.source.read(self._parts.clock.wall_s())
        except Exception as error:  # the source promises not to raise; if it does, the next sample tries again
            self._faults.fail("read", error)
            return
        self._faults.recover("read")
        self._judge_others(observation)
        now_s, instances = self._parts.clock.wall_s(), self._parts.instances.overlay(observation.instances)
        observation = dataclasses.replace(observation, now_s=now_s, instances=instances)
        await self._execution.take_outcomes(now_s)
        self._parts.custody.see(observation.instances, now_s)
        self._begin_tick(observation)
        energy_j = self._meter.take(observation.site_power)
        self._parts.telemetry.take_observation(observation, energy_j)
        per_token = self._records.j_per_output_token
        self.status = Status(observation, self._decision, self._faults.in_force, energy_j, per_token)
        for watcher in self._parts.watchers:
            try:
                watcher(self.status)
            except Exception as error:  # a fault of the page must not stop the control
                self._faults.fail("watch", error)
            else:
                self._faults.recover("watch")
        await self._records.write(SAMPLE_KIND, now_s, sample_record(observation, self._decision, energy_j))
        site = None if self._decision is None else self._decision.site
        await asyncio.gather(self._records.book(observation, site), self._tell_loads(observation))

    async def _tell_loads(self, observation: Observation) -> None:
        if self._parts.loads is None:
            return
        try:
            await self._parts.loads.tell(observation.instances)
        except Exception as error:  # routers then ask the engines themselves
            self._faults.fail("loads", error)
        else:
            self._faults.recover("loads")

    def _judge_others(self, observation: Observation) -> None:
        """Show what is wrong with those that the loop goes by."""
        taken = () if isinstance(observation.router, Missing) else observation.router.names_taken
        shared = (
            f"another router has the name of {', '.join(taken)}; give each a router.name of its own" if taken else ""
        )
        for step, reason in (("supervisor", "; ".join(observation.supervisor_faults)), ("routers", shared)):
            if reason:
                self._faults.fail(step, reason)
            else:
                self._faults.recover(step)

    def _begin_tick(self, observation: Observation) -> None:
        clock = self._parts.clock
        if self._ticking is not None:
            running_s = clock.monotonic_s() - self._tick_began_s
            if running_s > self._options.late_after_s and "late" not in self._faults:
                self._faults.fail(
                    "late", f"the decision has taken {running_s:.0f} s; the last table stays until it expires"
                )
            return
        events = events_key(observation.events, observation.now_s)
        is_hasty = self._is_hasty or events != self._events
        if not is_hasty and clock.monotonic_s() + 0.5 * self._options.sample_s < self._next_tick_s:
            return  # a sample that comes a little early is nearer to the due time than the one after it
        if self._step_s and self._parts.after_step is not None:
            sleepers = self._parts.custody.sleepers
            self._memory = self._parts.after_step(self._memory, sleepers, self._step_s, observation.now_s)
        self._step_s = 0.0
        self._is_hasty, self._events = False, events
        self._tick_began_s = clock.monotonic_s()
        # What is told at once is followed by a decision that plans, with the next sample.
        self._next_tick_s = self._tick_began_s + (0.0 if is_hasty else self._options.tick_s)
        self._ticking = asyncio.create_task(self._tick(observation, is_hasty=is_hasty), name="tick")

    def _tell_handover(self) -> None:
        failure = self._parts.leadership.failure
        if failure is None:
            self._faults.recover("handover")
        else:
            self._faults.fail("handover", failure)

    async def _tick(self, observation: Observation, *, is_hasty: bool) -> None:
        decide = self._parts.at_once if is_hasty and self._parts.at_once is not None else self._parts.decide
        try:
            self._memory = await self._parts.leadership.follow(self._memory, observation.now_s)
            decision = await asyncio.to_thread(decide, self._memory, observation)
            self._memory, self._decision = decision.memory, decision
            self._announcer.take(decision.diagnostics)
            self._parts.telemetry.take_replicas(decision)
            actions = await self._execution.carry_out(decision, observation)
            self._tell_handover()
            took_s = self._parts.clock.monotonic_s() - self._tick_began_s
            self._parts.telemetry.take_decision(decision, took_s)
            log.info("decided", extra=summary_of(decision, took_s))
            await self._records.write(
                decisions.RECORD_KIND, observation.now_s, decision_record(observation, decision, actions)
            )
        except Exception as error:  # the next tick decides anew from the same memory
            self._faults.fail("tick", error)
        else:
            self._faults.recover("tick")
        finally:
            self._faults.recover("late")
            self._ticking = None
            if is_hasty or self._is_hasty:
                self._wake.set()
