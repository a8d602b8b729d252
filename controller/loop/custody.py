"""The instances that sleep by the controller's command, or are to prove that they wake: remembered, and given back.

They are given back when the controller lets go of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from controller.actuators.instance_tasks import InstanceTasks, Outcome
from controller.lifecycle.handback import OnExit, Sleeper, commanded, hand_back, still_asleep
from controller.lifecycle.limits import Limits
from controller.metrics.telemetry import Telemetry
from controller.model.grid import GridEvent, Precedence
from controller.model.observation import InstanceObservation
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.signals.present import Present
from controller.tick import Decision
from router.contract import InstanceId

log = logging.getLogger(__name__)

Look = Callable[[], Awaitable[tuple[InstanceObservation, ...]]]
Firm = Callable[[float], float | None]
"""Most the site may draw at a time by the limits that outrank the classes; None without one."""
RETRY_S = 30.0
"""Least time between two attempts to give the same instance back."""
_ENDS = "the controller ends"


@dataclass(frozen=True, slots=True)
class CustodyOptions:
    """How instances are given back.

    Attributes:
        wait_s: longest wait for them at the controller's end.
    """

    on_exit: OnExit = OnExit.WAKE
    wait_s: float = 20.0


class Custody:
    """Remembers who sleeps by the controller's command, and wakes them when it lets go."""

    def __init__(
        self,
        present: Present,
        tasks: InstanceTasks,
        telemetry: Telemetry,
        options: CustodyOptions = CustodyOptions(),
        sleepers: tuple[Sleeper, ...] = (),
        *,
        firm_w: Firm = lambda now_s: None,
    ) -> None:
        """Remember who sleeps.

        Args:
            present: the fleet with the instances there are.
            tasks: carry commands out.
            telemetry: is told.
            options: how instances are given back.
            sleepers: those of a former process.
            firm_w: what holds instances back; limits that yield to the classes do not.
        """
        self._present = present
        self._tasks = tasks
        self._telemetry = telemetry
        self._options = options
        self._firm_w = firm_w
        self._left: tuple[InstanceId, ...] = ()
        self._tried_s: dict[InstanceId, float] = {}
        self.sleepers: tuple[Sleeper, ...] = ()
        self._hold(sleepers)

    def command(self, commands: tuple[InstanceCommand, ...], now_s: float) -> None:
        """Remember what is about to be put to sleep, stopped or woken."""
        self._hold(commanded(self.sleepers, commands, now_s))

    def take_charge(self, sleepers: tuple[Sleeper, ...]) -> None:
        """Answer for these alone: they sleep by another controller's command, or others answer for them now."""
        if sleepers != self.sleepers:
            self._hold(sleepers)

    def see(self, instances: tuple[InstanceObservation, ...], now_s: float) -> None:
        """Forget those that serve again, and those that are gone, once it is known who is there."""
        if not self._present.is_whole:
            return
        self._hold(still_asleep(self._present.site(), self.sleepers, instances, self._tasks.busy, now_s))

    def take_outcome(self, outcome: Outcome) -> None:
        """Forget one that was woken or started."""
        if outcome.is_done and outcome.command.verb in (Verb.WAKE, Verb.START):
            woken = outcome.command.instance_id
            self._hold(tuple(sleeper for sleeper in self.sleepers if sleeper.instance_id != woken))

    async def give_back(
        self, decision: Decision, instances: tuple[InstanceObservation, ...], reason: str
    ) -> tuple[str, ...]:
        """Begin to wake what may be woken now and was not tried just before; returns a line for each."""
        return await self._give_back(decision, instances, self.sleepers, self._headroom_w(decision), reason)

    async def give_back_held(
        self, decision: Decision, instances: tuple[InstanceObservation, ...], reason: str
    ) -> tuple[str, ...]:
        """The same for those of pools that it leaves as they are, while it acts on others, which come first."""
        pools = {pool.pool_id: pool for pool in self._present.site().pools}
        held = {each.instance_id for pool in pools.values() if pool.is_held for each in pool.instances}
        sleepers = tuple(sleeper for sleeper in self.sleepers if sleeper.instance_id in held)
        if not sleepers:
            return ()
        room_w = self._headroom_w(decision)
        if room_w is not None:
            moved = ((pools[told.pool_id], told.waking) for told in decision.diagnostics.pools)
            coming_w = sum(pool.curves.p0_w * waking for pool, waking in moved if not pool.is_held)
            room_w -= self._present.site().pue * coming_w
        return await self._give_back(decision, instances, sleepers, room_w, reason)

    async def _give_back(
        self,
        decision: Decision,
        instances: tuple[InstanceObservation, ...],
        sleepers: tuple[Sleeper, ...],
        room_w: float | None,
        reason: str,
    ) -> tuple[str, ...]:
        if self._options.on_exit is OnExit.LEAVE:
            return ()
        now_s = decision.diagnostics.now_s
        site = decision.upper or self._present.site()
        back = hand_back(site, sleepers, instances, room_w, reason=reason)
        idle = (command for command in back.commands if command.instance_id not in self._tasks.busy)
        due = tuple(command for command in idle if self._is_due(command.instance_id, now_s))
        self._tried_s |= {command.instance_id: now_s for command in due}
        self._hold(commanded(self.sleepers, due, now_s))
        lines = await self._tasks.apply(Commands(decision.commands.table, due))
        self._telemetry.take_given_back(len(lines))
        for line in lines:
            log.info("giving an instance back", extra={"action": line})
        left = tuple(instance_id for instance_id, _ in back.left)
        if left and left != self._left:
            log.warning("instances left asleep for now", extra={"instances": dict(back.left)})
        self._left = left
        return lines

    async def leave(self, decision: Decision | None, look: Look, hurry: asyncio.Event) -> None:
        """Give everything back and wait until it is done, for `wait_s` or until told to hurry.

        Args:
            decision: the last one, None before the first: nothing is then known of the room under a limit.
            look: observes the instances.
            hurry: ends the wait.
        """
        if not self.sleepers or self._options.on_exit is OnExit.LEAVE or decision is None:
            return
        log.info("waking what was put to sleep", extra={"instances": self._names(), "wait_s": self._options.wait_s})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.wait_s):
                await _until(hurry, self._wake_all(decision, look))

    def tell_left(self) -> None:
        """Say who stays asleep now that the controller ends."""
        if self.sleepers:
            log.warning(
                "instances stay asleep: they wait for a controller that acts, or to be woken by hand",
                extra={"instances": self._names(), "on_exit": self._options.on_exit.value},
            )

    async def _wake_all(self, decision: Decision, look: Look) -> None:
        """Wake those at rest at once, and one that is falling asleep as soon as it sleeps; each is tried once."""
        falling = self._tasks.busy
        await self.give_back(decision, await look(), _ENDS)
        await self._tasks.settle(falling)
        if falling:
            await self.give_back(decision, await look(), _ENDS)
        await self._tasks.settle()

    def _is_due(self, instance_id: InstanceId, now_s: float) -> bool:
        tried_s = self._tried_s.get(instance_id)
        return tried_s is None or abs(now_s - tried_s) >= RETRY_S

    def _headroom_w(self, decision: Decision) -> float | None:
        """Room for what is given back; None where nothing keeps it asleep, as the return from an event does not."""
        told = decision.diagnostics
        firm_w = self._firm_w(told.now_s)
        if firm_w is None:
            return None
        return firm_w * (1.0 - told.margin_frac) - max(told.charged_w, told.measured_w or 0.0)

    def _hold(self, sleepers: tuple[Sleeper, ...]) -> None:
        self.sleepers = sleepers
        self._telemetry.take_sleepers(len(sleepers))

    def _names(self) -> list[InstanceId]:
        return [sleeper.instance_id for sleeper in self.sleepers]


def firm_limit_of(
    events: tuple[GridEvent, ...], standing_w: float | None, order: Precedence, now_s: float
) -> float | None:
    """Most the site may draw by the limits that outrank the classes: each event's own terms say whether it does.

    Args:
        events: of calls and of lost sources.
        standing_w: the site's own limit, None for none.
        order: what yields to it, and to an event that does not say.
        now_s: wall clock.
    """
    return Limits(standing_w, events, order=order).at(now_s, Precedence.CONTRACT)


async def _until(event: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work until the event is set."""
    working, ended = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((working, ended), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, ended):
            task.cancel()
        await asyncio.gather(working, ended, return_exceptions=True)
