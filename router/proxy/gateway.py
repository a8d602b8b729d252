"""What the connections of one worker share: where a request goes first, and the sweep that watches all deadlines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from router.accounting import OVERHEAD_BOUNDS_S
from router.canary import Sampler
from router.contract import ClassId
from router.dispatch import Dispatcher
from router.exchange import Choice, Hints, Outcome, Refusal
from router.histogram import Histogram
from router.http1.keyed_heads import KeyedReader
from router.http1.request_head import RequestHead
from router.http1.request_reader import RequestReader
from router.http1.response_head import ResponseReader
from router.openai import Usage, with_model
from router.proxy.client_side import ClientConnection
from router.proxy.engine_side import EnginePool
from router.proxy.errors import refusal_parts
from router.proxy.models import ModelList
from router.proxy.outbox import Outbox
from router.proxy.own_answers import OwnAnswers
from router.proxy.relay import Relay
from router.proxy.told import Told
from router.proxy.unpacking import Unpacker
from router.settings import LimitSettings, RouterSettings, TimeoutSettings
from router.tenants.engine_keys import NO_KEYS, EngineKeys
from router.tenants.keys import CREDENTIAL_FIELDS
from router.transport.dialing import Dialer

log = logging.getLogger(__name__)

SWEEP_S = 0.1
"""Time between two looks at all deadlines: far less than any of them, and cheaper than a timer each."""

STILL_S = 1.0
"""A sweep that is late by so much has not been busy: the process was stopped, or its machine was."""

COMMON_TARGETS = frozenset({b"/v1/chat/completions", b"/v1/completions", b"/v1/embeddings", b"/v1/responses"})
"""Targets known to be an engine's ordinary work, to spare them the look at their segments."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks, in seconds: wall for records and keys, monotonic for durations and deadlines.

    Attributes:
        epoch_s: what makes of the monotonic clock the one that the dispatcher goes by: see `router.clock.steady`.
    """

    wall_s: Callable[[], float]
    monotonic_s: Callable[[], float]
    epoch_s: float


class Observer(Protocol):
    """What is told of requests that no engine was asked to serve."""

    def refused(self, client: ClientConnection, refusal: Refusal) -> None:
        """A request was read and refused."""

    def rejected(self, client: ClientConnection, status: int, reason: str) -> None:
        """A client's bytes were no request that is served."""


class Gateway:
    """The public port of one worker.

    Attributes:
        post: writes to a transport at the end of the present pass of the event loop; `flush` does so now.
        requests: reads the heads of requests.
        answers: reads the heads of engines' answers.
        told: makes the field lines added to answers.
        engine_keys: shown to engines; None where no pool has one.
        keeps_credentials: whether clients' keys go no further than to the router.
        held_body_bytes: bytes of request bodies that are held now.
        clients: connections that stand.
        unheard: of these, those that are not read for now, as they have sent far ahead.
        dispatcher: decides about requests.
        engines: connections to engines.
        is_draining: the router is stopping; connections close after their present answer.
        connections_made: connections that clients have opened so far.
        clients_gone: clients that left before they had their answer.
        overhead: time from receiving a request to sending it, waiting and failed attempts included.
        lag_s: how much later than meant the last sweep ran: a measure of how busy the event loop is.
        max_lag_s: the most of it since it was last set back.
        client_type, relay_type: what serves connections and requests; others where requests are observed.
        observer: told of refusals, where requests are observed.
        sampler: keeps a few requests for canaries; None where none are kept.
    """

    def __init__(
        self,
        settings: RouterSettings,
        *,
        dispatcher: Dispatcher,
        models: ModelList,
        clocks: Clocks,
        dialer: Dialer | None = None,
        engine_keys: EngineKeys = NO_KEYS,
        dropped_fields: frozenset[bytes] = frozenset(),
    ) -> None:
        self.dispatcher = dispatcher
        self.engines = EnginePool(settings.timeouts.engine_keep_alive_s, (dialer or Dialer()).connect)
        outbox = Outbox()
        self.post = outbox.post
        self.flush = outbox.flush
        self.client_type: type[ClientConnection] = ClientConnection
        self.relay_type: type[Relay] = Relay
        self.observer: Observer | None = None
        self.sampler: Sampler | None = None
        self.answers = ResponseReader()
        self.clients: set[ClientConnection] = set()
        self.unheard: set[ClientConnection] = set()
        self.reconfigure(settings, engine_keys, dropped_fields)
        self.held_body_bytes = 0
        self.is_draining = False
        self.connections_made = 0
        self.clients_gone = 0
        self.overhead = Histogram.empty(OVERHEAD_BOUNDS_S)
        self.lag_s = 0.0
        self.max_lag_s = 0.0
        self.wall_s = clocks.wall_s
        self.now_s = clocks.monotonic_s
        self.epoch_s = clocks.epoch_s
        self._own_answers = OwnAnswers(self, models)
        self._unpacker = Unpacker(self)
        self._emptied: asyncio.Event | None = None

    def reconfigure(
        self,
        settings: RouterSettings,
        engine_keys: EngineKeys = NO_KEYS,
        dropped_fields: frozenset[bytes] = frozenset(),
    ) -> None:
        """Go by other settings from now on, and forget what was kept under the old ones.

        Args:
            settings: of the router's process.
            engine_keys: shown to engines in place of the clients' keys, which then go no further.
            dropped_fields: lower-case names of further request fields that do not go on to engines.
        """
        self.timeouts: TimeoutSettings = settings.timeouts
        self.limits: LimitSettings = settings.limits
        self.engines.keep_alive_s = settings.timeouts.engine_keep_alive_s
        self.engine_keys = engine_keys or None
        self.keeps_credentials = bool(engine_keys) or self.dispatcher.has_tenants
        self.requests = (
            KeyedReader(dropped_fields | CREDENTIAL_FIELDS) if self.keeps_credentials else RequestReader(dropped_fields)
        )
        self.told = Told()
        for client in self.clients:
            client.forget_hints()

    def steady_s(self) -> float:
        """The clock that the dispatcher goes by."""
        return self.epoch_s + self.now_s()

    def admits_connection(self) -> bool:
        """Whether another client may connect."""
        self.connections_made += 1
        return len(self.clients) < self.limits.max_connections

    def left(self, client: ClientConnection) -> None:
        """A connection has ended."""
        self.clients.discard(client)
        self.unheard.discard(client)
        if not self.clients and self._emptied is not None:
            self._emptied.set()

    def serve(self, client: ClientConnection, head: RequestHead, body: bytes | bytearray | None) -> None:
        """Send a request on its way; `body` is None where it has none."""
        hints = head.hints
        if hints is not None:
            self.dispatch(client, head, body, hints)
        elif head.target in COMMON_TARGETS and head.coding is None:
            hints = self.dispatcher.hints(head.fields)
            head.keep_hints(hints)
            self.dispatch(client, head, body, hints)
        elif head.target in COMMON_TARGETS or not self._own_answers.serve(client, head):
            self._serve_rare(client, head, body)

    def _serve_rare(self, client: ClientConnection, head: RequestHead, body: bytes | bytearray | None) -> None:
        if head.coding is not None and body:
            self._unpacker.serve(client, head, body, head.coding)
        else:
            self.dispatch(client, head, body, self.dispatcher.hints(head.fields))

    def dispatch(
        self, client: ClientConnection, head: RequestHead, body: bytes | bytearray | None, hints: Hints | Refusal
    ) -> None:
        """Have a request served by an engine, or refused; `body` is plain, `hints` are what its fields say."""
        received_s = self.now_s()
        ask = self.dispatcher.ask(hints, self.dispatcher.read_facts(body or b""), self.wall_s())
        if isinstance(ask, Refusal):
            self.refuse(client, ask)
            return
        if ask.engine_model is not None and body is not None:
            body = with_model(body, ask.engine_model)
        if self.sampler is not None:
            self.sampler.offer(head.target, body, ask.class_id)
        relay = client.relay = self.relay_type(self, client, head, body, ask, received_s)
        relay.begin(self.epoch_s + received_s)

    def key_refusal(self, head: RequestHead) -> Refusal | None:
        """Why a request is refused for want of a tenant's key."""
        return self.dispatcher.check_key(self.dispatcher.hints(head.fields), self.wall_s())

    def refuse(self, client: ClientConnection, refusal: Refusal) -> None:
        """Answer a request with a refusal."""
        log.debug("request refused", extra={"status": refusal.status, "reason": refusal.reason})
        if self.observer is not None:
            self.observer.refused(client, refusal)
        fields, body = refusal_parts(refusal)
        client.answer(refusal.status, body, fields=fields)

    def refuse_here(self, client: ClientConnection, refusal: Refusal, class_id: ClassId | None = None) -> None:
        """Answer a request with a refusal that is not the dispatcher's, and count it, under its class if it has one."""
        self.dispatcher.count_refusal(refusal.reason, class_id)
        self.refuse(client, refusal)

    def attempt_failed(self, choice: Choice | None, outcome: Outcome, reason: str) -> None:
        """Note that an engine failed a request."""
        instance_id = None if choice is None else choice.spec.instance_id
        log.warning("attempt failed", extra={"instance_id": instance_id, "outcome": outcome.value, "reason": reason})

    def progress(self) -> Iterator[tuple[Choice, Usage]]:
        """Of each stream under way of which something has come: who serves it, and its tokens so far."""
        for client in self.clients:
            if client.relay is not None:
                found = client.relay.progress()
                if found is not None:
                    yield found

    def sweep(self, still_s: float = 0.0) -> None:
        """Act on every deadline that has passed; time in which this process stood still counts for nobody's silence."""
        now_s = self.now_s()
        if still_s:
            for client in self.clients:
                client.deadline_s += still_s
        late: list[ClientConnection] = []
        for client in self.clients:
            if client.has_moved:
                client.has_moved = False
                client.deadline_s = now_s + client.patience_s
            elif client.deadline_s <= now_s:
                late.append(client)
        for client in late:
            client.on_deadline(now_s)
        for client in tuple(self.unheard):
            client.reset_if_gone()
        self.engines.sweep(now_s)
        self.dispatcher.expire(self.epoch_s + now_s)

    async def sweep_forever(self) -> None:
        """Sweep until cancelled."""
        while True:
            due_s = self.now_s() + SWEEP_S
            await asyncio.sleep(SWEEP_S)
            self.lag_s = max(0.0, self.now_s() - due_s)
            self.max_lag_s = max(self.max_lag_s, self.lag_s)
            self.sweep(self.lag_s if self.lag_s >= STILL_S else 0.0)

    def drain(self) -> None:
        """Close idle connections now and the others after their present answer."""
        self.is_draining = True
        for client in list(self.clients):
            client.drain()

    async def wait_empty(self) -> None:
        """Until no client is connected."""
        self._emptied = asyncio.Event()
        if self.clients:
            await self._emptied.wait()

    def close(self) -> None:
        """End every connection at once."""
        for client in list(self.clients):
            client.reset()
        self.engines.close()
