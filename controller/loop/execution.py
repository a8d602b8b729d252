"""What a decision leads to: it is kept, published and commanded, and how the commands ended is told."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from controller.actuators.instance_tasks import InstanceTasks
from controller.errors import ActuationError, StoreError, Superseded
from controller.lifecycle.wanted import is_wanted
from controller.loop.continuity import Keep
from controller.loop.custody import Custody
from controller.loop.faults import Fault, Faults
from controller.loop.leadership import Leadership
from controller.loop.records import Records
from controller.metrics.telemetry import Telemetry
from controller.model.observation import Observation
from controller.model.plan import Verb
from controller.ports import Actuator
from controller.tick import Decision, Memory
from router.contract import InstanceId

log = logging.getLogger(__name__)

ACTUATION_KIND = "actuation"
_HELD = "its pool is not acted upon any more"


@dataclass(frozen=True, slots=True)
class ExecutionParts:
    """What decisions are carried out with.

    Attributes:
        publishers: each gets every table that is to be published.
        custody: knows which instances sleep by the controller's command.
        keep: keeps what must outlast the process, before anything is done; None keeps nothing.
        records: where it is written how commands ended.
        publish_timeout_s: each publisher has that long.
        leadership: whether anything may be done.
    """

    publishers: tuple[Actuator, ...]
    instances: InstanceTasks
    custody: Custody
    keep: Keep | None
    records: Records
    telemetry: Telemetry
    publish_timeout_s: float
    leadership: Leadership


class Execution:
    """Carries decisions out; a failure is told as a fault, and holds back nothing else."""

    def __init__(self, parts: ExecutionParts, faults: Faults) -> None:
        self._parts = parts
        self._faults = faults
        self._failed: dict[InstanceId, Verb] = {}

    async def carry_out(self, decision: Decision, observation: Observation) -> tuple[str, ...]:
        """Act, having kept what a next process must know of it; or give back what a former process put to sleep.

        A controller that does not lead does nothing.

        Returns:
            What was done, a line each.
        """
        custody, leadership, now_s = self._parts.custody, self._parts.leadership, observation.now_s
        leads = leadership.may_act()
        self._settle_unwanted(decision, observation, leads=leads)
        if leads and decision.publish:
            custody.command(decision.commands.instances, now_s)
        await self.keep(decision.memory, now_s)
        if not leads or not await leadership.hand_over(decision.memory, custody.sleepers, now_s):
            return ()
        if decision.publish:
            lines = await self._act(decision)
            if not leadership.may_act():
                return lines
            return (*lines, *await custody.give_back_held(decision, observation.instances, _HELD))
        return await custody.give_back(decision, observation.instances, "the controller does not act any more")

    async def keep(self, memory: Memory, now_s: float) -> None:
        """Keep what must outlast the process."""
        if self._parts.keep is None:
            return
        try:
            await self._parts.keep(memory, self._parts.custody.sleepers, now_s)
        except StoreError as error:
            self._faults.fail("state", error)
        else:
            self._faults.recover("state")

    async def leave(self, memory: Memory, now_s: float) -> None:
        """At the end: keep it, hand it over, and let another controller lead."""
        leadership, custody = self._parts.leadership, self._parts.custody
        await self.keep(memory, now_s)
        if leadership.may_act():
            await leadership.hand_over(memory, custody.sleepers, now_s)
        await leadership.resign()
        if not leadership.has_heir:
            custody.tell_left()

    async def take_outcomes(self, now_s: float) -> None:
        """Tell how the background commands ended."""
        for outcome in self._parts.instances.take_outcomes():
            command = outcome.command
            told = {
                "verb": command.verb.value,
                "instance_id": command.instance_id,
                "is_done": outcome.is_done,
                "detail": outcome.detail,
                "took_s": outcome.took_s,
            }
            self._parts.telemetry.take_outcome(command.verb, is_done=outcome.is_done)
            self._parts.custody.take_outcome(outcome)
            step = _step_of(command.instance_id)
            if outcome.is_done:
                log.info("instance command done", extra=told)
                self._faults.settle(step)
                self._failed.pop(command.instance_id, None)
            else:
                self._failed[command.instance_id] = command.verb
                log.warning("instance command failed", extra=told)
                self._faults.stand(Fault(step, f"{command.verb.value}: {outcome.detail}", now_s))
            await self._parts.records.write(ACTUATION_KIND, now_s, {**told, "reason": command.reason})

    def _settle_unwanted(self, decision: Decision, observation: Observation, *, leads: bool) -> None:
        """Show failed commands no more that are not wanted any more, or are another controller's to give."""
        intents = {intent.instance_id: intent for intent in decision.memory.intents}
        states = {seen.instance_id: seen.state for seen in observation.instances}
        sleepers = {sleeper.instance_id for sleeper in self._parts.custody.sleepers}
        for name, verb in tuple(self._failed.items()):
            is_sleeper = name in sleepers
            if not (leads and is_wanted(verb, intents.get(name), states.get(name), is_sleeper=is_sleeper)):
                self._faults.settle(_step_of(name))
                del self._failed[name]

    async def _act(self, decision: Decision) -> tuple[str, ...]:
        lines: list[str] = []
        reasons: list[str] = []
        for publisher in self._parts.publishers:
            try:
                async with asyncio.timeout(self._parts.publish_timeout_s):
                    lines += await publisher.apply(decision.commands)
            except TimeoutError:
                timeout_s = self._parts.publish_timeout_s
                reasons.append(f"{type(publisher).__name__}: not done within {timeout_s:g} s")
            except ActuationError as error:
                reasons.append(str(error))
                if isinstance(error, Superseded):
                    self._parts.leadership.superseded(str(error))
        if reasons:
            self._faults.fail("publish", "; ".join(reasons))
        else:
            self._faults.recover("publish")
        if self._parts.leadership.may_act():
            lines += await self._parts.instances.apply(decision.commands)
        return tuple(lines)


def _step_of(instance_id: InstanceId) -> str:
    return f"actuate {instance_id}"
