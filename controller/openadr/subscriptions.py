"""Subscribes to a VTN's events: one subscription for each programme that is followed, looked after and at last deleted.

Polling goes on beside them: a subscription that fails costs time, never an event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.errors import MessageError, SignalError, VtnError
from controller.openadr.client import VtnClient
from controller.openadr.messages import ObjectOperation, Operation, Program, Subscription, Version
from controller.openadr.messages_write import write_subscription
from controller.openadr.notified import Notified
from controller.openadr.pace import Chance, wait_s
from controller.openadr.registration_read import read_subscription

log = logging.getLogger(__name__)

RENEW_S = 900.0
"""Time after which it is seen to that the subscriptions still stand."""
FIRST_S = 2.0
WATCHED = (Operation.CREATE, Operation.UPDATE, Operation.DELETE)


@dataclass(frozen=True, slots=True)
class SubscriberParts:
    """What a subscriber works with.

    Attributes:
        client_name: that the subscriptions carry.
        url, token: of the callback.
        programs: the VTN's programmes that are followed now, by its names.
        on_change: told when subscriptions stand anew: what happened before is to be asked for.
    """

    client: VtnClient
    client_name: str
    url: str
    token: str
    programs: Callable[[], Mapping[str, Program]]
    chance: Chance
    notified: Notified
    on_change: Callable[[], None]


class Subscriber:
    """Keeps the subscriptions of one VTN.

    Attributes:
        held: ids of subscriptions by the id of their programme.
    """

    def __init__(self, parts: SubscriberParts) -> None:
        self._parts = parts
        self._failures = 0
        self.held: dict[str, str] = {}

    async def run(self) -> None:
        """Subscribe, and look after it, until cancelled."""
        while True:
            pause_s = await self.look_after()
            await asyncio.sleep(pause_s)

    async def look_after(self) -> float:
        """Make what is missing; failures are told and polling goes on. Returns the time until the next look."""
        parts = self._parts
        draw = parts.chance.uniform(0.0, 1.0)
        programs = {program.program_id for program in parts.programs().values()}
        if not programs:
            return FIRST_S
        try:
            version = await parts.client.version()
            before = dict(self.held)
            for program_id in sorted(programs):
                self.held[program_id] = await self._kept(program_id, version)
        except SignalError as error:
            self._failures += 1
            parts.notified.lost(str(error))
            return wait_s(5.0, self._failures, draw, error.retry_after_s)
        self._failures = 0
        parts.notified.stands()
        if self.held != before:
            parts.on_change()
        return wait_s(RENEW_S, 0, draw)

    async def unsubscribe(self) -> None:
        """Delete the subscriptions; what fails is told, since the VTN goes on calling."""
        for program_id, subscription_id in sorted(self.held.items()):
            try:
                await self._parts.client.delete(f"/subscriptions/{subscription_id}")
            except SignalError as error:
                extra = {"subscription": subscription_id, "reason": str(error)}
                log.warning("subscription not deleted", extra=extra)
            del self.held[program_id]

    async def _kept(self, program_id: str, version: Version) -> str:
        """Id of the subscription of a programme: as it stands, changed to our token, or made."""
        client, content = self._parts.client, write_subscription(self._wanted(program_id), version)
        known = self.held.get(program_id)
        if known is not None:
            try:
                await client.get(f"/subscriptions/{known}")
                return known
            except VtnError as error:
                if error.status != 404:
                    raise
            log.warning("subscription is gone at the VTN: made anew", extra={"subscription": known})
        ours = await self._found(program_id)
        for twin in ours[1:]:
            await client.delete(f"/subscriptions/{twin}")
        if ours:
            await client.put(f"/subscriptions/{ours[0]}", content)
            return ours[0]
        try:
            made = read_subscription(await client.post("/subscriptions", content))
        except MessageError as error:
            raise SignalError("/subscriptions", str(error)) from error
        if made.subscription_id is None:
            raise SignalError("/subscriptions", "the VTN tells no id of the subscription")
        return made.subscription_id

    async def _found(self, program_id: str) -> list[str]:
        """Ids of subscriptions that a former process has left: of our name, to our callback."""
        parts = self._parts
        params = (("programID", program_id), ("clientName", parts.client_name))
        listing = await parts.client.list_all("/subscriptions", params)
        if listing.failure is not None:
            raise listing.failure
        found: list[str] = []
        for content in listing.objects:
            try:
                each = read_subscription(content)
            except MessageError as error:
                log.info("entry passed over", extra={"reason": str(error)})
                continue
            is_ours = each.client_name == parts.client_name and each.program_id == program_id
            if is_ours and each.subscription_id and parts.url in (o.callback_url for o in each.operations):
                found.append(each.subscription_id)
        return found

    def _wanted(self, program_id: str) -> Subscription:
        parts = self._parts
        operation = ObjectOperation(("EVENT",), WATCHED, parts.url, parts.token)
        return Subscription(None, parts.client_name, (operation,), program_id)
