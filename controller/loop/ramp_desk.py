"""The desk of ramps in the loop: watches limit and power, tells webhooks, and keeps both through a restart."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from controller.actuators.webhooks import MAX_HOOKS, Hook, Notice, Webhooks, check_address
from controller.clock import Clock
from controller.errors import CallRefused, ConfigError, StoreError
from controller.grid.ramp_watch import Look, RampEvent, Watch, watch
from controller.loop.grid_desk import GridStatus
from controller.loop.status import Status
from controller.model.observation import Reading
from controller.store.state import StateFile

log = logging.getLogger(__name__)

FILE_NAME = "webhooks.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlasts the process.

    Attributes:
        watch: None before the first look.
        numbers: how many receivers were ever registered, so that no id comes twice.
    """

    hooks: tuple[Hook, ...] = ()
    watch: Watch | None = None
    numbers: int = 0


class RampDesk:
    """What the loop calls at each look, and what the API registers receivers at."""

    def __init__(
        self, folder: Path, site: str, webhooks: Webhooks, clock: Clock, grid: Callable[[], GridStatus | None]
    ) -> None:
        self._file = StateFile(folder / FILE_NAME, mode=0o600)
        self._site = site
        self._clock = clock
        self._grid = grid
        self.webhooks = webhooks
        self._kept = self._read()
        for hook in self._kept.hooks:
            webhooks.add(hook)

    def take(self, status: Status) -> None:
        """Tell the receivers what started or ended since the last look.

        Raises:
            StoreError: that could not be kept: after a restart it may be told again.
        """
        grid, power = self._grid(), status.observation.site_power
        now_s = status.observation.now_s
        stretch = None if grid is None else grid.limit.at(now_s)
        if stretch is None:
            return
        event = stretch.event
        due_s = None if event is None else event.start_s + event.ramp_s
        power_w = power.value_w if isinstance(power, Reading) else None
        state, told = watch(self._kept.watch, Look(now_s, stretch.limit_w, due_s, power_w))
        before, self._kept = self._kept, Kept(self._kept.hooks, state, self._kept.numbers)
        source = None if event is None else event.source
        for each in told:
            log.info("ramp", extra={"kind": each.kind.value, "limit_w": each.limit_w, "met": each.met})
            self.webhooks.notify(notice_of(each, self._site, source, None if event is None else event.event_id))
        if told or before.watch is None:
            self._save(self._kept)

    def register(self, url: str, token: str | None) -> Hook:
        """Send to this address from now on.

        Raises:
            CallRefused: it may not be sent to, is registered already, or there is no room.
            StoreError: it could not be kept; nothing is sent to it.
        """
        try:
            check_address(url, token)
        except ConfigError as error:
            raise CallRefused(str(error)) from error
        hooks = self._kept.hooks
        if len(hooks) >= MAX_HOOKS:
            raise CallRefused(f"{MAX_HOOKS} webhooks are registered already; delete one", is_conflict=True)
        same = next((hook for hook in hooks if hook.url == url), None)
        if same is not None:
            raise CallRefused(f"{same.hook_id} has this url already; delete it to change its token", is_conflict=True)
        number = self._kept.numbers + 1
        hook = Hook(f"hook-{number}", url, self._clock.wall_s(), token)
        kept = Kept((*hooks, hook), self._kept.watch, number)
        self._save(kept)
        self._kept = kept
        self.webhooks.add(hook)
        log.info("webhook registered", extra={"webhook": hook.hook_id, "origin": hook.origin})
        return hook

    async def remove(self, hook_id: str) -> Hook | None:
        """Send to this one no more; None where there is none.

        Raises:
            StoreError: that could not be kept; it goes on.
        """
        found = next((hook for hook in self._kept.hooks if hook.hook_id == hook_id), None)
        if found is None:
            return None
        hooks = tuple(hook for hook in self._kept.hooks if hook is not found)
        kept = Kept(hooks, self._kept.watch, self._kept.numbers)
        self._save(kept)
        self._kept = kept
        await self.webhooks.remove(hook_id)
        log.info("webhook removed", extra={"webhook": hook_id})
        return found

    def _save(self, kept: Kept) -> None:
        self._file.save(webhooks=kept)

    def _read(self) -> Kept:
        try:
            parts = self._file.load(webhooks=Kept)
        except StoreError as error:
            self._file.set_aside(error, "webhooks not restored: register them again")
            return Kept()
        return Kept() if parts is None else parts["webhooks"]


def notice_of(event: RampEvent, site: str, source: str | None, event_id: str | None) -> Notice:
    """What receivers are sent.

    Args:
        event: what started or ended.
        site: whose power.
        source: of the call whose limit holds now, None without one.
        event_id: likewise.
    """
    notice_id = f"{event.kind.value}-{round(event.at_s * 1000)}"
    body: dict[str, Any] = {
        "id": notice_id,
        "event": event.kind.value,
        "site": site,
        "time_s": event.at_s,
        "limit_w": event.limit_w,
        "limit_source": source,
        "limit_event_id": event_id,
        "power_w": event.power_w,
        "due_s": event.due_s,
        "met": event.met,
        "superseded": event.is_superseded,
    }
    return Notice(notice_id, event.at_s, body)


@contextlib.asynccontextmanager
async def opened_ramps(
    folder: Path, site: str, clock: Clock, registry: CollectorRegistry, grid: Callable[[], GridStatus | None]
) -> AsyncIterator[RampDesk]:
    """The desk, whose webhooks have connections of their own."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        webhooks = Webhooks(session, clock, random.SystemRandom(), registry)
        try:
            yield RampDesk(folder, site, webhooks, clock, grid)
        finally:
            await webhooks.close()
