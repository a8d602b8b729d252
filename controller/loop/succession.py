"""A controller among several: stands by, takes over without a step, and hands over while it leads.

Two things must hold before anything is done: the lease, by our own clock, and the claim in Redis, which refuses whoever
claimed before. A standby takes up what the leader left at each of its ticks, so that at its turn little is new to it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from controller.errors import ActuationError, StoreError, Superseded
from controller.lifecycle.handback import Sleeper, unproven
from controller.lifecycle.handover import Handover, adopted, handover_of
from controller.lifecycle.memory import Memory
from controller.loop.handover_body import decode, encode, writer_of
from controller.loop.leadership import LeadershipStatus, Role
from controller.loop.succession_parts import Found, SuccessionParts
from controller.signals.asked import Asked

log = logging.getLogger(__name__)

MAX_BYTES = 4 << 20
APART_S = 15.0
"""What a leader left is read at the next tick, some seconds later; clocks that differ by more are another matter."""
RENAMED_S = 60.0
"""What a site of another name has left longer ago was left by this one, before it was renamed."""
STALE_LOOKS = 2
"""Looks in a row at which a standby finds nothing new of the leader, who hands over at each tick, before it asks for
the lead; counted, so that no clock that is set has a part in it."""
HEIR_S = 2.5
"""A standby that ends together with the leader has said so after this time."""


class Succession:
    """The leadership of one of several controllers.

    Attributes:
        failure: why what is shared could not be read or written at the last attempt; None where it could.
        takeovers: how often this controller began to lead.
        handover_bytes: of the last one written.
    """

    def __init__(self, parts: SuccessionParts) -> None:
        self._parts = parts
        self._is_claimed = False
        self._reaches = True
        self._stale_looks = 0
        self._seen: bytes | None = None
        self._whose: tuple[bytes | None, str | None, float] = (None, None, 0.0)
        self._left: Handover | str | None = None
        self._own: Handover | None = None
        self._leaving = asyncio.Lock()
        self._has_standby: bool | None = None
        self._address: str | None = None
        self._ahead_s = 0.0
        self.failure: str | None = None
        self.takeovers = 0
        self.handover_bytes = 0
        parts.gpus.stand_by(None)
        parts.candidate.stand_by_terms(self.is_fit, self.is_asking)

    @property
    def status(self) -> LeadershipStatus:
        """Who leads."""
        candidate, leads = self._parts.candidate, self.may_act()
        address = self._parts.address if leads else self._address
        role = Role.LEADER if leads else Role.STANDBY
        has_standby = self._has_standby if leads else None
        failure = candidate.failure or self.failure
        return LeadershipStatus(role, candidate.identity, candidate.leader, address, has_standby, failure)

    @property
    def has_heir(self) -> bool:
        """Whether a standby was seen lately."""
        return bool(self._has_standby)

    def may_act(self) -> bool:
        """Whether this controller holds the lease, and has claimed the lead in Redis."""
        return self._is_claimed and self._parts.candidate.may_act()

    def is_fit(self, is_asked: bool) -> bool:
        """Whether it leads, or could: who cannot reach what is shared must not keep the lease from who can.

        Args:
            is_asked: whether a standby, who can, asks for it; where nobody can, the leader goes on.
        """
        return self._reaches or (self._is_claimed and not is_asked)

    def is_asking(self) -> bool:
        """Whether it stands by, reaches what is shared, and finds that the leader leaves nothing there."""
        return self._stale_looks >= STALE_LOOKS and not self._is_claimed

    async def follow(self, memory: Memory, now_s: float) -> Memory:
        """The memory to decide from."""
        holds = self._parts.candidate.may_act()
        if self._is_claimed and not holds:
            self._lose("the lease is not held any more")
        if self._is_claimed:
            return memory
        try:
            found = await self._parts.shared.look()
            if (wrong := self._of_another_site(found.handover, now_s)) is not None:
                self.failure = wrong
                return memory
            if holds:
                found = await self._parts.shared.claim()
        except ActuationError as error:
            self.failure, self._reaches, self._stale_looks = str(error), False, 0
            return memory
        self._reaches = True
        self._stale_looks = 0 if holds or found.handover != self._seen else self._stale_looks + 1
        memory = self._take_up(found, memory, now_s, leads=holds)
        if holds and self._parts.candidate.may_act():
            self._lead()
        return memory

    async def hand_over(self, memory: Memory, sleepers: tuple[Sleeper, ...], now_s: float) -> bool:
        """Leave what a standby needs; whether this controller still leads."""
        if not self.may_act():
            return False
        self._own = handover_of(self._parts.candidate.identity, self._parts.address, memory, sleepers, now_s)
        body = self._body(self._own)
        await self._leave(body, encode(self._parts.asked(now_s)))
        if not body and self.failure is None:
            size = self.handover_bytes
            self.failure = f"the handover has {size} bytes, more than {MAX_BYTES}; a standby would begin without it"
        return self.may_act()

    async def share_asked(self, now_s: float) -> bool:
        """Leave at once what was asked just now; whether a later leader will know of it."""
        return self.may_act() and await self._leave(b"", encode(self._parts.asked(now_s)))

    async def share_found(self) -> None:
        """Leave at once what GPUs were found to have; before the first handover, which is about to tell it, do not."""
        if self.may_act() and self._own is not None:
            await self._leave(self._body(self._own), b"")

    def superseded(self, reason: str) -> None:
        """Redis refused a write: the lead is claimed anew at the next tick, if the lease is held then."""
        if self._is_claimed:
            self._lose(reason)

    async def find_heir(self) -> bool:
        """Whether a standby takes over what this controller leaves; one that ends at the same time does not."""
        if not self.may_act():
            try:
                await self._parts.shared.withdraw()
            except ActuationError as error:
                log.info("not withdrawn: it is forgotten by itself", extra={"reason": str(error)})
            return False
        if self._has_standby:
            await self._parts.sleep(HEIR_S)
            await self._leave(b"", b"")
        return bool(self._has_standby)

    async def resign(self) -> None:
        """Let a standby take over at once."""
        self._is_claimed = False
        await self._parts.candidate.release()

    def _body(self, own: Handover) -> bytes:
        """As it is written, with what GPUs were found to have by now; empty where it is too large."""
        told = replace(own, gpus_found=self._parts.gpus.found)
        body = encode(told, site=self._parts.site.name, written_at_s=own.written_at_s)
        self.handover_bytes = len(body)
        return body if len(body) <= MAX_BYTES else b""

    async def _leave(self, handover: bytes, asked: bytes) -> bool:
        try:
            async with self._leaving:  # what was written down later is to be read last
                self._has_standby = await self._parts.shared.hand_over(handover, asked)
        except Superseded as error:
            self._lose(str(error))
            return False
        except ActuationError as error:
            self.failure, self._reaches = str(error), False
            return False
        self.failure, self._reaches = None, True
        return True

    def _take_up(self, found: Found, memory: Memory, now_s: float, *, leads: bool) -> Memory:
        """Go on from what the leader left."""
        wrong = self._take_asked(found.asked, now_s, leads=leads)
        is_new = found.handover != self._seen
        if is_new:
            is_fresh = self._seen is not None
            self._seen, self._left = found.handover, decode(found.handover, Handover)
            if isinstance(self._left, Handover) and is_fresh:
                self._ahead_s = now_s - self._left.written_at_s
        if isinstance(self._left, Handover):
            self._address = self._left.address
            wrong = wrong or (None if leads else self._apart())
            self._parts.take_charge(self._left.saved.sleepers if leads else ())
            self._parts.let_go(tuple(each.instance_id for each in self._left.under_way.intents if each.is_let_go))
            is_others = self._left.leader != self._parts.candidate.identity
            if is_others:
                self._parts.on_followed(unproven(self._left.saved.sleepers))
                self._parts.gpus.stand_by(self._left.gpus_found or ())
            is_news = is_new and is_others
            memory = adopted(self._parts.site, memory, self._left, now_s, is_new=is_news)
        elif self._left is not None:
            wrong = f"what the leader hands over cannot be read: {self._left}"
        self.failure = wrong or self._stale()
        return replace(memory, sequence=max(memory.sequence, found.sequence))

    def _stale(self) -> str | None:
        """What is to be said where the leader leaves nothing here."""
        leader = self._parts.candidate.leader
        if not self.is_asking() or leader in (None, self._parts.candidate.identity):
            return None
        return (
            f"{leader} holds the lease and leaves nothing in this Redis: it cannot reach it, and is asked for the "
            "lease; or it has another table.redis_url or table.redis_key"
        )

    def _apart(self) -> str | None:
        """What is to be said of a clock that is not the leader's; what was left long ago says nothing of that."""
        if abs(self._ahead_s) < APART_S:
            return None
        return (
            f"this clock is {self._ahead_s:+.0f} s ahead of the leader's: calls would begin and end by it after a "
            "takeover; see to the time service of both machines"
        )

    def _of_another_site(self, handover: bytes | None, now_s: float) -> str | None:
        """Why nothing is claimed or taken up: a controller of another site writes to the same key."""
        if handover != self._whose[0]:
            self._whose = (handover, *writer_of(handover))
        _, name, written_at_s = self._whose
        if name in (None, self._parts.site.name) or now_s - written_at_s > RENAMED_S:
            return None
        return f"site {name!r} has this table.redis_key: give {self._parts.site.name!r} one of its own, and its routers"

    def _take_asked(self, body: bytes | None, now_s: float, *, leads: bool) -> str | None:
        """Hold what the leader holds; returns why not."""
        asked = decode(body, Asked)
        if not isinstance(asked, Asked):
            return None if asked is None else f"the calls of the leader cannot be read: {asked}"
        try:
            changed = self._parts.adopt_asked(asked, now_s, leads)
        except StoreError as error:
            return f"the calls of the leader are not taken up: {error}"
        if changed:
            log.info("calls taken up from the leader", extra={"count": changed})
        return None

    def _lead(self) -> None:
        self._is_claimed, self._own = True, None
        self.takeovers += 1
        left = self._left.gpus_found if isinstance(self._left, Handover) else None
        self._parts.gpus.take_up(left or ())
        log.info("leading: tables are published and instances commanded", extra={"identity": self.status.identity})
        self._parts.on_lead()

    def _lose(self, reason: str) -> None:
        self._is_claimed, self._own = False, None
        self._parts.gpus.stand_by(None)
        log.error("not leading any more: nothing is published or commanded", extra={"reason": reason})
        self._parts.on_lost()
