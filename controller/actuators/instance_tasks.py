"""Commands to instances as background tasks: a wake takes seconds, a start minutes, and the loop waits for neither.

At most one task runs for an instance. A command for a busy instance is left out; the next ticks give it again if it
is still wanted. An instance whose wake has not succeeded is not to be used, whatever it says of itself: `overlay`
shows it as waking while it is tried, and as asleep once that has failed, so that it is tried again. The doubt outlasts
the process: whoever goes on from what it kept, or handed over, is told of it (`doubt`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from controller.clock import Clock
from controller.errors import ActuationError
from controller.model.observation import InstanceObservation, InstanceState
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.ports import InstanceDriver
from router.contract import InstanceId

log = logging.getLogger(__name__)
MAX_OUTCOMES = 10_000
_READY = (InstanceState.SERVING, InstanceState.SLEEPING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    command: InstanceCommand
    is_done: bool
    detail: str
    took_s: float


class Kept(Protocol):
    """Knows of instances that rest otherwise than their engines say."""

    def shown(self, instances: tuple[InstanceObservation, ...]) -> tuple[InstanceObservation, ...]:
        """The observations with what is known of those."""

    def adopt(self, pods: Collection[InstanceId]) -> None:
        """Know of these, as another controller told."""

    def forget(self) -> None:
        """Know nothing: another controller has taken charge."""


class InstanceTasks:
    """Runs commands in the background and remembers which instances are not yet to be used."""

    def __init__(
        self,
        drivers: tuple[InstanceDriver, ...],
        clock: Clock,
        *,
        leaves: Callable[[InstanceCommand], bool] = lambda _: False,
        kept: Kept | None = None,
        forgets: tuple[Callable[[], None], ...] = (),
        is_whole: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take drivers, of which the last one for a verb counts.

        Args:
            drivers: carry commands out.
            clock: for how long that takes.
            leaves: says what is left to others.
            kept: knows of instances that rest otherwise than their engines say; None where none does.
            forgets: called once another controller has taken charge.
            is_whole: whether it is known which instances there are.
        """
        self._drivers = {verb: driver for driver in drivers for verb in driver.verbs}
        self._clock = clock
        self._leaves = leaves
        self._kept = kept
        self._forgets = forgets
        self._is_whole = is_whole
        self._running: dict[InstanceId, tuple[Verb, asyncio.Task[None]]] = {}
        self._unproven: set[InstanceId] = set()
        self._outcomes: deque[Outcome] = deque(maxlen=MAX_OUTCOMES)

    async def apply(self, commands: Commands) -> tuple[str, ...]:
        """Begin what the commands say; returns a line for each task begun."""
        begun = []
        for command in commands.instances:
            if command.instance_id in self._running or self._leaves(command):
                continue
            if command.verb is Verb.WAKE:
                self._unproven.add(command.instance_id)
            task = asyncio.create_task(self._carry_out(command), name=f"{command.verb.value} {command.instance_id}")
            self._running[command.instance_id] = (command.verb, task)
            task.add_done_callback(functools.partial(self._forget, command.instance_id))
            begun.append(f"{command.verb.value} {command.instance_id}: {command.reason}")
        return tuple(begun)

    def overlay(self, instances: tuple[InstanceObservation, ...]) -> tuple[InstanceObservation, ...]:
        """The observations, with the instances that are kept, and those whose wake is not proven as not to be used.

        Nothing is known of an instance that is not there any more: another may come under its name.
        """
        if self._kept is not None:
            instances = self._kept.shown(instances)
        if self._is_whole():
            self._unproven &= {instance.instance_id for instance in instances} | self.busy
        return tuple(map(self._shown, instances))

    def take_outcomes(self) -> tuple[Outcome, ...]:
        """What ended since the last call."""
        outcomes = tuple(self._outcomes)
        self._outcomes.clear()
        return outcomes

    @property
    def busy(self) -> frozenset[InstanceId]:
        """Instances with a command under way."""
        return frozenset(self._running)

    async def settle(self, of: Collection[InstanceId] | None = None) -> None:
        """Wait until the commands under way have ended, all or those of some instances."""
        while tasks := [task for name, (_, task) in self._running.items() if of is None or name in of]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Give up what is still running."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def give_up(self) -> None:
        """Do nothing more about what is still running: another controller has taken charge."""
        for _, task in self._running.values():
            task.cancel()
        if self._kept is not None:
            self._kept.forget()
        for forget in self._forgets:
            forget()

    def doubt(self, woken: Collection[InstanceId]) -> None:
        """Take engines at their word but for these: another controller, or process, has been in charge since.

        It has proved all else that it woke, and of these it does not know.
        """
        self._unproven = set(woken)

    def adopt(self, let_go: Collection[InstanceId]) -> None:
        """Know that another controller has let these go."""
        if self._kept is not None:
            self._kept.adopt(let_go)

    def _forget(self, instance_id: InstanceId, task: asyncio.Task[None]) -> None:
        """One that was given up before it began has not forgotten itself."""
        running = self._running.get(instance_id)
        if running is not None and running[1] is task:
            self._running.pop(instance_id)

    def _shown(self, seen: InstanceObservation) -> InstanceObservation:
        if seen.instance_id not in self._unproven or seen.state not in _READY:
            return seen
        verb, _ = self._running.get(seen.instance_id, (None, None))
        if verb in (Verb.WAKE, Verb.START):
            return dataclasses.replace(seen, state=InstanceState.WAKING)
        is_awake = seen.state is InstanceState.SERVING
        return dataclasses.replace(seen, state=InstanceState.SLEEPING, is_unproven=is_awake)

    async def _carry_out(self, command: InstanceCommand) -> None:
        began_s = self._clock.monotonic_s()
        is_done, detail = False, "given up at shutdown"
        try:
            driver = self._drivers.get(command.verb)
            if driver is None:
                raise ActuationError(
                    command.instance_id,
                    f"nothing is configured that can {command.verb.value} instances; set controller.supervisor_url",
                )
            detail = await driver.carry_out(command)
            is_done = True
            self._unproven.discard(command.instance_id)
        except ActuationError as error:
            detail = str(error)
        except Exception as error:  # a fault in a driver is an outcome like any other, and is told
            log.exception("driver failed", extra={"instance_id": command.instance_id, "verb": command.verb.value})
            detail = f"{type(error).__name__}: {error}"
        finally:
            self._running.pop(command.instance_id, None)
            self._outcomes.append(Outcome(command, is_done, detail, self._clock.monotonic_s() - began_s))
