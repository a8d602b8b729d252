"""Sends the reports of one VTN: in their order, again after failures, and never twice.

A report is looked for by its name before it is sent a second time, since a connection that broke does not say whether
the VTN has taken it. A VTN that refuses one for good (4xx) is told of in the log, and the next one is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from controller.clock import Clock
from controller.errors import ControllerError, MessageError, SignalError, VtnError
from controller.openadr.client import VtnClient
from controller.openadr.fields import Fields
from controller.openadr.followed import Followed
from controller.openadr.pace import Chance, wait_s
from controller.openadr.report_maker import ReportMaker, ReportSource
from controller.openadr.report_metrics import ReportMetrics
from controller.openadr.report_queue import ReportQueue, Waiting

log = logging.getLogger(__name__)

TICK_S = 5.0
AT_ONCE = 50
"""Reports sent before the clock is looked at again."""
TRANSIENT = frozenset((401, 403, 408, 425, 429))
"""Refusals that pass: of a token, of the pace."""
OF_ONE_EVENT = frozenset((403, 500))
"""Answers that may be about a report, or the event that it is on, where other ones are about the server."""
MAX_HELD = 3
"""Events in a row whose reports are answered so; then it is the server, which is left alone."""


@dataclass(frozen=True, slots=True)
class ReporterParts:
    """What a reporter works with.

    Attributes:
        vtn: name of the VTN.
        followed: its events as they are known now.
    """

    vtn: str
    client: VtnClient
    queue: ReportQueue
    maker: ReportMaker
    source: ReportSource
    metrics: ReportMetrics
    clock: Clock
    chance: Chance
    followed: Callable[[], Mapping[str, Followed]]


@dataclass(frozen=True, slots=True)
class Held:
    """Reports on one event that the VTN does not take, where it takes others.

    Attributes:
        failures: in a row.
        from_s: monotonic clock at which the next one is tried.
        reason: what the VTN said.
    """

    failures: int
    from_s: float
    reason: str


class Reporter:
    """Makes and sends reports until cancelled."""

    def __init__(self, parts: ReporterParts) -> None:
        self._parts = parts
        self._failures = 0
        self._failure: str | None = None
        self._fault: str | None = None
        self._from_s = 0.0
        self._held: dict[str, Held] = {}

    async def run(self) -> None:
        """Look for what is due, and send it, every few seconds."""
        while True:
            await self.step()
            await asyncio.sleep(TICK_S)

    async def step(self) -> None:
        """Make what is due and send what waits; failures are told, counted and waited out."""
        parts = self._parts
        now_s = parts.clock.wall_s()
        try:
            version = await parts.client.version()
            present = parts.source.present(now_s)
            await asyncio.to_thread(parts.maker.make, parts.followed(), version, present)
            self._tell_fault(None)
        except SignalError as error:
            self._fail(error)
            return
        except ControllerError as error:
            self._tell_fault(str(error))
        try:
            await self._show_waiting()
            if parts.clock.monotonic_s() >= self._from_s:
                await self._send_all()
                await self._show_waiting()
        except SignalError as error:
            self._fail(error)
        except ControllerError as error:
            self._tell_fault(str(error))

    async def _show_waiting(self) -> None:
        parts = self._parts
        parts.metrics.waiting.labels(parts.vtn).set(await asyncio.to_thread(parts.queue.count, parts.vtn))

    async def _send_all(self) -> None:
        """Send what waits, the reports on each event in their order.

        Raises:
            SignalError: the VTN cannot be reached, or takes none.
        """
        parts, held_anew, has_sent = self._parts, 0, False
        most = AT_ONCE + len(self._held)
        waiting = await asyncio.to_thread(parts.queue.waiting, parts.vtn, most)
        self._held = {each.event_id: self._held[each.event_id] for each in waiting if each.event_id in self._held}
        resting = {event_id for event_id, held in self._held.items() if held.from_s > parts.clock.monotonic_s()}
        for each in waiting:
            if each.event_id in resting:
                continue
            try:
                await self._send(each)
            except VtnError as error:
                held_anew += 1
                if error.status not in OF_ONE_EVENT or held_anew == MAX_HELD:
                    raise
                self._hold(each.event_id, error)
                resting.add(each.event_id)
            else:
                held_anew, has_sent = 0, True
                self._held.pop(each.event_id, None)
        self._failures = 0
        if self._failure is not None and (has_sent or not waiting):
            log.info("reports are taken again", extra={"vtn": parts.vtn})
            self._failure = None

    def _hold(self, event_id: str, error: VtnError) -> None:
        """Leave the reports on one event alone for a while."""
        parts, before = self._parts, self._held.get(event_id)
        failures, reason = (0 if before is None else before.failures) + 1, str(error)
        pause_s = wait_s(TICK_S, failures, parts.chance.uniform(0.0, 1.0), error.retry_after_s)
        parts.metrics.outcomes.labels(parts.vtn, "failed").inc()
        if before is None or before.reason != reason:
            extra = {"vtn": parts.vtn, "event_id": event_id, "reason": reason}
            log.warning("reports on an event wait: the VTN does not take them", extra=extra)
        self._held[event_id] = Held(failures, parts.clock.monotonic_s() + pause_s, reason)

    async def _send(self, waiting: Waiting) -> None:
        parts, content = self._parts, msgspec.json.decode(waiting.body)
        await asyncio.to_thread(parts.queue.tried, waiting)
        try:
            report_id = await self._placed(waiting, content)
        except VtnError as error:
            if error.status >= 500 or error.status in TRANSIENT:
                raise
            extra = {"vtn": parts.vtn, "event_id": waiting.event_id, "report": waiting.name, "reason": str(error)}
            if error.status == 404 and await self._is_gone(waiting.event_id):
                log.info("report of an event that the VTN has deleted", extra=extra)
                parts.metrics.outcomes.labels(parts.vtn, "gone").inc()
            else:
                log.error("report refused by the VTN", extra=extra)
                parts.metrics.outcomes.labels(parts.vtn, "refused").inc()
            report_id = None
        else:
            parts.metrics.outcomes.labels(parts.vtn, "sent").inc()
        await asyncio.to_thread(parts.queue.sent, waiting, report_id, parts.clock.wall_s())

    async def _placed(self, waiting: Waiting, content: Any) -> str | None:
        """Make the report at the VTN, or change the one that is there; returns its id."""
        client = self._parts.client
        known = waiting.report_id
        if known is None and waiting.is_tried:
            known = await self._found(waiting, content)
        if known is not None:
            try:
                return _id_of(await client.put(f"/reports/{known}", content)) or known
            except VtnError as error:
                if error.status != 404:
                    raise
        try:
            return _id_of(await client.post("/reports", content))
        except VtnError as error:
            found = await self._found(waiting, content) if error.status == 409 else None
            if found is None:
                raise
            return _id_of(await client.put(f"/reports/{found}", content)) or found

    async def _is_gone(self, event_id: str) -> bool:
        """Whether the VTN does not know the event any more, so that nobody waits for reports on it."""
        try:
            await self._parts.client.get(f"/events/{event_id}")
        except VtnError as error:
            if error.status != 404:
                raise
            return True
        return False

    async def _found(self, waiting: Waiting, content: Any) -> str | None:
        """Id of the report of that name, where the VTN has one."""
        params = (("eventID", waiting.event_id), ("clientName", str(content["clientName"])))
        listing = await self._parts.client.list_all("/reports", params)
        for each in listing.objects:
            is_it = isinstance(each, dict) and each.get("reportName") == waiting.name
            if is_it and each.get("eventID") == waiting.event_id and each.get("clientName") == content["clientName"]:
                return _id_of(each)
        if listing.failure is not None:
            raise listing.failure
        return None

    def _fail(self, error: SignalError) -> None:
        parts = self._parts
        self._failures += 1
        parts.metrics.outcomes.labels(parts.vtn, "failed").inc()
        pause_s = wait_s(TICK_S, self._failures, parts.chance.uniform(0.0, 1.0), error.retry_after_s)
        self._from_s = parts.clock.monotonic_s() + pause_s
        if str(error) != self._failure:
            log.warning("reports wait: the VTN does not take them", extra={"vtn": parts.vtn, "reason": str(error)})
        self._failure = str(error)

    def _tell_fault(self, reason: str | None) -> None:
        if reason is not None and reason != self._fault:
            log.error("reports cannot be made", extra={"vtn": self._parts.vtn, "reason": reason})
        self._fault = reason


def _id_of(answer: Any) -> str | None:
    """Id of a report as the VTN tells it; None of an answer without one."""
    try:
        return Fields.of(answer, "report").object_id("id")
    except MessageError as error:
        log.info("answer to a report without an id", extra={"reason": str(error)})
        return None
