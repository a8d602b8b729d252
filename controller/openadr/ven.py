"""A VEN: asks one VTN what it wants, again and again, and keeps the book of calls at what the VTN says.

A VTN that is not reached is never taken for one that wants nothing. An event is over when its time is over, when the
VTN changes it to nothing, or when a complete listing does not have it and the VTN, asked for it, does not know it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.clock import Clock
from controller.errors import ControllerError, SignalError, VtnError
from controller.model.call import CallState
from controller.openadr.client import VtnClient
from controller.openadr.draws import Draws
from controller.openadr.follow import EventDesk, FirstHeard, by_this_process
from controller.openadr.followed import begins, event_of
from controller.openadr.listings import Listings, is_of
from controller.openadr.messages import Program, Version
from controller.openadr.metrics import VenMetrics
from controller.openadr.pace import Chance, wait_s
from controller.openadr.registration import Registrar
from controller.openadr.series import value_at
from controller.openadr.specs import VenSpec
from controller.openadr.terms import terms_of
from controller.signals.calls import CallBook

log = logging.getLogger(__name__)

MAX_SKEW_S = 30.0
"""Difference of the clocks that is told."""
LIVE = frozenset((CallState.PENDING, CallState.ACTIVE, CallState.OPTED_OUT))
MAX_CHECKS = 100
"""Absent events that are asked for at one poll; those with calls come first, the others wait."""
PROGRAMMES_S = 600.0
"""Time after which the programmes are read again."""


@dataclass(frozen=True, slots=True)
class VenParts:
    """What a VEN works with.

    Attributes:
        chance: of jitter.
        draws: of randomised starts.
        on_change: told when a poll changed what is followed.
        first_heard: when events were first heard of, which outlasts the process.
    """

    client: VtnClient
    book: CallBook
    clock: Clock
    chance: Chance
    draws: Draws
    metrics: VenMetrics
    on_change: Callable[[], None] = lambda: None
    first_heard: FirstHeard = by_this_process


class Ven:
    """Follows one VTN.

    Attributes:
        desk: its events.
        programs: the VTN's programmes that are followed, by its names.
        registrar: makes the VEN and its resources known.
    """

    def __init__(self, spec: VenSpec, parts: VenParts) -> None:
        self.spec = spec
        self.client = parts.client
        self.desk = EventDesk(spec.source, parts.book, parts.draws, parts.first_heard)
        self.programs: dict[str, Program] = {}
        self.registrar = Registrar(spec, parts.client)
        self._listings = Listings(spec, parts.client)
        self._parts = parts
        self._programmes = tuple(sorted(set(spec.programmes.values())))
        self._told_w: dict[str, float | None] = {}
        self._programs_s: float | None = None
        self._wanted = asyncio.Event()
        self._failures = 0
        self._failure: str | None = None
        self._skewed = False
        self._missed: set[str] = set()

    async def run(self) -> None:
        """Poll until cancelled."""
        parts = self._parts
        while True:
            retry_after_s = await self.poll()
            pause_s = wait_s(self.spec.poll_s, self._failures, parts.chance.uniform(0.0, 1.0), retry_after_s)
            self._wanted.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def hasten(self) -> None:
        """Poll now: the VTN said that something has changed."""
        self._wanted.set()

    async def poll(self) -> float | None:
        """Ask once; failures are told, counted and waited out. Returns how long the VTN asks to be left alone."""
        now_s = self._parts.clock.wall_s()
        retry_after_s = None
        self._parts.book.watch(self.spec.source, self._programmes, now_s)
        try:
            await self._ask(now_s)
        except ControllerError as error:
            self._failures += 1
            retry_after_s = error.retry_after_s if isinstance(error, SignalError) else None
            self._tell_failure(str(error))
        else:
            self._failures = 0
            self._parts.book.heard(self.spec.source, self._parts.clock.wall_s())
            if self._failure is not None:
                log.info("VTN is followed again", extra={"vtn": self.spec.name})
            self._failure = None
        self._tell_defaults(now_s)
        self._tell_skew()
        self._parts.metrics.show(self.desk, self.client.skew_s, self._failures, now_s)
        return retry_after_s

    async def _ask(self, now_s: float) -> None:
        version = await self._read_programs(now_s)
        held = self._held(now_s)
        before = self.desk.version
        listed: set[str] = set()
        failure = self._listings.missing
        for program in self.programs.values():
            objects, failed = await self._listings.events(program, version)
            failure = failure or failed
            for content in sorted(objects, key=begins):
                event_id = self.desk.take(content, terms_of(self.spec, program), held, now_s)
                if event_id is None:
                    failure = failure or SignalError(self.spec.url, "it lists an event without a readable id")
                else:
                    listed.add(event_id)
        if failure is None:
            await self._look_for_absent(listed, now_s)
        if self.desk.version != before:
            self._parts.on_change()
        if failure is not None:
            raise failure
        await self.registrar.register(version)

    async def _read_programs(self, now_s: float) -> Version:
        """The programmes that are followed, and by which version; a guess of the version is made anew each time."""
        if self._programs_s is not None and now_s - self._programs_s < PROGRAMMES_S:
            return await self.client.version()
        self.client.doubt_version()
        version = await self.client.version()
        self.programs = await self._listings.programmes(version)
        self._programs_s = now_s if self._listings.missing is None else None
        return version

    async def _look_for_absent(self, listed: set[str], now_s: float) -> None:
        """Cancel what the VTN deleted; pages shift while they are read, so it is asked for each one by its id.

        One that it forbids to be read is taken for withdrawn from us once two listings did not have it. One that it
        still has is taken as it is now: it may be meant for others, or be of another programme.
        """
        held = self._held(now_s)
        live = {event_of(call_id) for call_id in held}
        absent = sorted(self.desk.absent(listed, held), key=lambda event_id: (event_id not in live, event_id))
        missed: set[str] = set()
        if absent:
            await self._check_memory()
        for event_id in absent[:MAX_CHECKS]:
            try:
                content = await self.client.get(f"/events/{event_id}")
            except VtnError as error:
                if error.status not in (403, 404):
                    raise
                if error.status == 404 or event_id in self._missed:
                    self.desk.drop(event_id, held, now_s)
                else:
                    missed.add(event_id)
            else:
                self._take_unlisted(event_id, content, held, now_s)
        self._missed = missed

    def _take_unlisted(self, event_id: str, content: Any, held: frozenset[str], now_s: float) -> None:
        """An event that the VTN knows and did not list."""
        if not isinstance(content, dict) or content.get("id") != event_id:
            return
        program = next((each for each in self.programs.values() if is_of(content, each)), None)
        if program is None:
            self.desk.drop(event_id, held, now_s, "the VTN moved the event to another programme")
        else:
            self.desk.take(content, terms_of(self.spec, program), held, now_s)

    async def _check_memory(self) -> None:
        try:
            await self._listings.see_known(self.programs)
        except SignalError:
            self._programs_s = None
            raise

    def _held(self, now_s: float) -> frozenset[str]:
        """Ids of our calls that are not over."""
        views = self._parts.book.calls(now_s)
        return frozenset(
            view.call.call_id for view in views if view.call.source == self.spec.source and view.state in LIVE
        )

    def _tell_defaults(self, now_s: float) -> None:
        """The capacity that was subscribed to, and what was granted above it, is the limit of a link that is lost."""
        for programme in self._programmes:
            limit_w = value_at(self.desk.spans("subscription_w", programme), now_s)
            if limit_w is not None:
                limit_w += value_at(self.desk.spans("reservation_w", programme), now_s) or 0.0
            if limit_w != self._told_w.get(programme):
                self._parts.book.subscribe(self.spec.source, programme, limit_w, now_s)
                self._told_w[programme] = limit_w

    def _tell_failure(self, reason: str) -> None:
        if reason != self._failure:
            log.warning("VTN is not followed", extra={"vtn": self.spec.name, "reason": reason})
        self._failure = reason

    def _tell_skew(self) -> None:
        skew_s = self.client.skew_s or 0.0
        is_skewed = abs(skew_s) > MAX_SKEW_S
        if is_skewed and not self._skewed:
            log.warning(
                "the VTN's clock is another: set the clocks of both sides",
                extra={"vtn": self.spec.name, "skew_s": round(skew_s)},
            )
        self._skewed = is_skewed
