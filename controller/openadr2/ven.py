"""A VEN of OpenADR 2.0b: `openleadr` speaks the protocol in our loop, we decide.

The library tells no failures of requests; that the VTN is silent shows in that nothing is heard of it. A VTN that does
not take the registration is asked again, later each time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openleadr.client
import openleadr.objects
import openleadr.utils

from controller.clock import Clock
from controller.model.meter import MeterReader
from controller.openadr.pace import Chance, wait_s
from controller.openadr2.events_desk import OPT_IN, OPT_OUT, EventDesk2
from controller.openadr2.metrics import Ven2Metrics
from controller.openadr2.specs import Ven2Spec
from controller.openadr2.telemetry import FilledReports, offer
from controller.signals.calls import CallBook

log = logging.getLogger(__name__)

BACK_OFF_S = 5.0
LOOK_S = 2.0
ASK_S = 60.0
"""Time after which all events are asked for: a VTN may tell a change once, and a message that is lost, or was not
believed, is told no more."""
SILENT_S = 900.0
"""Silence after which the registration is made anew: a VTN may have forgotten it without saying so."""


@dataclass(frozen=True, slots=True)
class Ven2Parts:
    """What a VEN works with.

    Attributes:
        means: of the meter store; None offers no telemetry.
        on_change: told when an event came or was changed.
    """

    book: CallBook
    clock: Clock
    chance: Chance
    metrics: Ven2Metrics
    means: MeterReader | None = None
    on_change: Callable[[], None] = lambda: None


class Ven2:
    """Follows one VTN."""

    def __init__(self, spec: Ven2Spec, parts: Ven2Parts) -> None:
        self.spec = spec
        self.desk = EventDesk2(spec, parts.book)
        self._parts = parts
        self._answered: dict[str, str] = {}
        self._heard_s = 0.0
        self._client: Any = None
        parts.metrics.show(spec.name)

    async def run(self) -> None:
        """Register, and follow, until cancelled."""
        parts, spec = self._parts, self.spec
        parts.book.watch(spec.source, tuple(sorted(set(spec.programmes.values()))), parts.clock.wall_s())
        if spec.certificate_file is not None:
            own = openleadr.utils.certificate_fingerprint(spec.certificate_file.read_text("utf-8"))
            log.info("certificate of the VEN", extra={"vtn": spec.name, "fingerprint": own})
        failures = 0
        while True:
            self._client, reason = self._made(), "it takes no registration"
            try:
                await self._client.run()
                if self._client.registration_id:
                    failures, reason = 0, f"nothing was heard of it for {SILENT_S:g} s"
                    await self._attend()
            except Exception as error:  # the library raises what it likes at answers that it does not expect
                reason = f"{type(error).__name__}: {error}"
            finally:
                parts.metrics.registered.labels(spec.name).set(0)
                await _stop(self._client)
            failures += 1
            if failures == 1:
                log.warning("VTN is not followed", extra={"vtn": spec.name, "reason": reason})
            await asyncio.sleep(wait_s(BACK_OFF_S, failures, parts.chance.uniform(0.0, 1.0)))

    async def _attend(self) -> None:
        """Tell what operators opt out of, until the VTN has long been silent."""
        parts = self._parts
        parts.metrics.registered.labels(self.spec.name).set(1)
        log.info("VEN is registered", extra={"vtn": self.spec.name, "ven_id": self._client.ven_id})
        self._heard_s = asked_s = parts.clock.monotonic_s()
        while parts.clock.monotonic_s() - self._heard_s < SILENT_S:
            await self._tell_choices()
            if parts.clock.monotonic_s() - asked_s >= ASK_S:
                asked_s = parts.clock.monotonic_s()
                await self._client.sync_events()
            await asyncio.sleep(LOOK_S)

    async def _tell_choices(self) -> None:
        """Answer anew what an operator decided since."""
        for view in self._parts.book.calls(self._parts.clock.wall_s()):
            event_id = view.call.call_id
            if view.call.source != self.spec.source or event_id not in self._answered:
                continue
            if view.cancelled_s is not None or view.call.end_s <= self._parts.clock.wall_s():
                continue
            choice = OPT_IN if view.call.opted_out is None else OPT_OUT
            if choice != self._answered[event_id]:
                known = self.desk.known[event_id]
                await self._client.created_event(
                    openleadr.utils.generate_id(), event_id, choice, modification_number=known.modification
                )
                self._note(event_id, choice)

    def _on_event(self, event: dict[str, Any]) -> str:
        """What `openleadr` asks of each event and each change of one."""
        now_s = self._parts.clock.wall_s()
        answer = self.desk.take(event, self._client.ven_id, now_s)
        event_id = event["event_descriptor"]["event_id"]
        if answer == OPT_IN and self._is_opted_out(event_id, now_s):
            answer = OPT_OUT
        if event_id in self.desk.known:
            self._note(event_id, answer)
        self._parts.on_change()
        return answer

    def _is_opted_out(self, event_id: str, now_s: float) -> bool:
        return any(
            view.call.opted_out is not None
            for view in self._parts.book.calls(now_s)
            if (view.call.source, view.call.call_id) == (self.spec.source, event_id)
        )

    def _note(self, event_id: str, answer: str) -> None:
        self._answered[event_id] = answer
        if event_id in self._client.responded_events:
            self._client.responded_events[event_id] = answer  # what the library answers when it hears the event again
        self._parts.metrics.events.labels(self.spec.name, answer).inc()

    def _on_message(self, message_type: str, payload: object) -> None:
        """Anything that was read of the VTN: the link is alive."""
        parts = self._parts
        self._heard_s = parts.clock.monotonic_s()
        parts.book.heard(self.spec.source, parts.clock.wall_s())
        parts.metrics.heard.labels(self.spec.name).set(parts.clock.wall_s())

    def _made(self) -> Any:
        spec = self.spec
        client = openleadr.client.OpenADRClient(
            ven_name=spec.ven_name,
            vtn_url=spec.url,
            cert=None if spec.certificate_file is None else str(spec.certificate_file),
            key=None if spec.key_file is None else str(spec.key_file),
            ca_file=None if spec.ca_file is None else str(spec.ca_file),
            vtn_fingerprint=spec.fingerprint,
            show_fingerprint=False,
            ven_id=spec.ven_id,
            disable_signature=spec.fingerprint is None,
        )
        client.add_handler("on_event", self._on_event)
        client.add_handler("on_update_event", self._on_event)
        client.add_hook("after_parse_xml", self._on_message)
        client.pending_reports = FilledReports()
        if spec.reports and self._parts.means is not None:
            for resource in spec.resources or (spec.ven_name,):
                offer(client, resource, self._parts.means, openleadr.objects)
        return client


async def _stop(client: Any) -> None:
    """End a client, however far it came; its own `stop` asks for a session that it may not have."""
    if client.client_session is not None:
        await client.stop()
