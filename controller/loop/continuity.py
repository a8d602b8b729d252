"""What outlasts the controller's process: taken up at its start, kept at each of its ticks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from controller.errors import StoreError
from controller.lifecycle.handback import Sleeper
from controller.lifecycle.memory import Memory
from controller.lifecycle.resume import CLOCK_TOLERANCE_S, Saved, is_clock_back, resumed, saved_of, unknown
from controller.model.fleet import Site
from controller.signals.routers import RouterCounts
from controller.store.state import StateFile
from controller.store.witness import Heads

log = logging.getLogger(__name__)

STATE_NAME = "state.json"
Keep = Callable[[Memory, tuple[Sleeper, ...], float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a process begins with.

    Attributes:
        sleepers: instances that sleep or are off by the command of a former process.
        counted: what the routers had counted, None where it is not known.
    """

    memory: Memory
    sleepers: tuple[Sleeper, ...] = ()
    counted: RouterCounts | None = None


def after_step(site: Site, memory: Memory, sleepers: tuple[Sleeper, ...], step_s: float, now_s: float) -> Memory:
    """The memory of a loop whose clock was set while it ran.

    Set back, times of the past lie ahead, where nothing would be planned or commanded again until the clock has caught
    up: it goes on as a new process would, with what outlasts one. The way back from an event moves with the clock.

    Args:
        site: the fleet.
        memory: of the last tick.
        sleepers: instances that sleep or are off by the controller's command.
        step_s: by how much the clock was set ahead.
        now_s: what it shows now.
    """
    returns = tuple(replace(back, since_s=back.since_s + step_s) for back in memory.followed.returns)
    moved = replace(memory, followed=replace(memory.followed, returns=returns))
    if step_s >= -CLOCK_TOLERANCE_S:
        return moved
    log.warning("the clock was set back: what is planned begins anew", extra={"step_s": round(step_s, 3)})
    return resumed(site, saved_of(moved, sleepers, now_s), now_s)


class Continuity:
    """The state file of a data folder, whose ledger this process has locked."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._file = StateFile(folder / STATE_NAME)
        self._site = site

    def take_up(self, now_s: float) -> Inheritance:
        """What a former process has kept; without its file everything begins anew, and it is told which of both.

        A file that cannot be read is set aside, and every quality budget then counts as burnt for a whole window.
        """
        try:
            parts = self._file.load(memory=Saved, routers=RouterCounts)
        except StoreError as error:
            self._file.set_aside(error, "state not restored: quality budgets count as burnt for a window")
            return Inheritance(unknown(self._site, now_s))
        if parts is None:
            log.info("no state to restore: budgets and baselines begin anew", extra={"path": str(self._file.path)})
            return Inheritance(Memory.initial(self._site, now_s))
        saved: Saved = parts["memory"]
        if is_clock_back(saved, now_s):
            log.warning(
                "the clock was set back since the state was kept: what was burnt later than now counts from now on",
                extra={"saved_at_s": saved.saved_at_s, "now_s": now_s},
            )
        memory = resumed(self._site, saved, now_s)
        log.info(
            "state restored",
            extra={
                "age_s": round(now_s - saved.saved_at_s, 1),
                "quality_burnt_frac": {burn.class_id: round(burn.burnt_frac, 6) for burn in memory.burns},
                "sleepers": [sleeper.instance_id for sleeper in saved.sleepers],
            },
        )
        return Inheritance(memory, saved.sleepers, parts["routers"])

    def keeper(
        self, counted: Callable[[], RouterCounts], heads: Callable[[float], Heads] = lambda now_s: Heads()
    ) -> Keep:
        """What keeps a memory; it raises `StoreError` where that cannot be written.

        Args:
            counted: what the routers have counted.
            heads: of the ledgers, at a time.
        """

        async def keep(memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> None:
            saved, counts = saved_of(memory, sleepers, now_s), counted()
            await asyncio.to_thread(self._file.save, memory=saved, routers=counts, heads=heads(now_s))

        return keep
