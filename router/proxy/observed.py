"""Connections and relays that keep a record of each request. They take the plain ones' place where someone listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.accounting import tokens_of
from router.exchange import Ask, Choice, Hints, Outcome, Refusal
from router.http1.request_head import RequestHead
from router.observe.observer import Observer
from router.observe.served import Attempt, Served
from router.proxy.client_side import ClientConnection
from router.proxy.relay import Relay

if TYPE_CHECKING:
    from router.proxy.gateway import Gateway


def install(gateway: Gateway, observer: Observer) -> None:
    """Have every connection from now on observed."""
    gateway.observer = RequestObserver(observer)
    gateway.client_type = ObservedClient
    gateway.relay_type = ObservedRelay


class RequestObserver:
    """Is told by the gateway of requests that no engine was asked to serve.

    Attributes:
        observer: makes the records.
    """

    def __init__(self, observer: Observer) -> None:
        self.observer = observer

    def refused(self, client: ClientConnection, refusal: Refusal) -> None:
        """A request was read and refused."""
        if isinstance(client, ObservedClient):
            client.refused(refusal)

    def rejected(self, client: ClientConnection, status: int, reason: str) -> None:
        """A client's bytes were no request that is served."""
        if isinstance(client, ObservedClient):
            client.rejected(status, reason)


class ObservedClient(ClientConnection):
    """A client's connection that opens a record with each request, and closes it with the answer.

    Attributes:
        record: of the request in progress, None outside of one.
    """

    __slots__ = ("_observer", "record")

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        if not isinstance(gateway.observer, RequestObserver):
            raise TypeError("an observed connection needs an observer; see install")
        self._observer = gateway.observer.observer
        self.record: Served | None = None

    def _serve(self, body: bytes | bytearray | None) -> None:
        if self._head is not None:
            self.record = self._begin(len(body or b""))
        super()._serve(body)

    def _begin(self, body_bytes: int) -> Served:
        gateway, head = self._gateway, self._head
        return self._observer.begin(
            (b"-", b"-") if head is None else (head.method, head.target),
            {} if head is None else head.fields,
            body_bytes=body_bytes,
            client_address=self._address(),
            received_s=gateway.now_s(),
            wall_s=gateway.wall_s(),
        )

    def _address(self) -> str | None:
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) and peer else None

    def engine_fields(self) -> bytes:
        """Field lines that engines get besides the client's."""
        return b"" if self.record is None else self._observer.engine_fields(self.record)

    def answer(self, status: int, body: bytes, *, fields: bytes = b"", close: bool = False) -> None:
        """Answer the present request by the router itself."""
        record = self.record
        if record is not None:
            record.status = status
            record.bytes_out = len(body)
            record.outcome = record.outcome or ("answered" if status < 400 else "refused")
        super().answer(status, body, fields=fields, close=close)

    def finish(self, *, close: bool) -> None:
        """The answer is complete, or as complete as it gets."""
        # First: the next request may wait in the buffer, and begins its own record in there.
        self._end()
        super().finish(close=close)

    def cut(self) -> None:
        """End the connection so that the client sees a broken answer, not a complete one."""
        self._end()
        super().cut()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is its request."""
        super().connection_lost(exc)
        if self.record is not None:
            self.record.outcome = Outcome.CLIENT_GONE
            self._end()

    def refused(self, refusal: Refusal) -> None:
        """The present request is answered with a refusal."""
        if self.record is not None:
            self.record.reason = refusal.reason
            hints = None if self._head is None else self._head.hints
            if isinstance(hints, Hints) and hints.key is not None:
                self.record.tenant = hints.key.owner.spec.name

    def rejected(self, status: int, reason: str) -> None:
        """What the client sent is no request that could be served."""
        if self.record is None:
            self.record = self._begin(0)
        self.record.status = status
        self.record.reason = reason
        self.record.outcome = "refused"
        self._end()

    def _end(self) -> None:
        record, self.record = self.record, None
        if record is not None:
            self._observer.ended(record, self._gateway.now_s())


class ObservedRelay(Relay):
    """A relay that notes what it does in its client's record."""

    __slots__ = ("_first_bytes", "_record", "extra")

    def __init__(
        self,
        gateway: Gateway,
        client: ClientConnection,
        head: RequestHead,
        body: bytes | bytearray | None,
        ask: Ask,
        received_s: float,
    ) -> None:
        super().__init__(gateway, client, head, body, ask, received_s)
        self._record: Served | None = None
        self._first_bytes = 0
        self.extra = b""
        if isinstance(client, ObservedClient) and client.record is not None:
            record = self._record = client.record
            facts = ask.facts
            record.received_s = received_s
            record.class_id = ask.class_id
            record.tenant = None if ask.charge is None else ask.charge.tenant
            record.model = facts.model
            record.stream = facts.stream if facts.valid else None
            record.max_tokens = facts.max_tokens
            self.extra = client.engine_fields()

    def _attempt(self, choice: Choice) -> None:
        record, spec = self._record, choice.spec
        if record is not None:
            precision = spec.precision.value
            record.pool_id, record.instance_id, record.precision = spec.pool_id, spec.instance_id, precision
            record.degraded, record.sequence = choice.degraded, choice.sequence
            now_s = self._gateway.now_s()
            record.attempts = [*record.attempts, Attempt(spec.instance_id, spec.pool_id, precision, spec.url, now_s)]
        super()._attempt(choice)

    def _commit(self, data: bytes, length: int | None = None) -> None:
        super()._commit(data, length)
        record, response = self._record, self._response
        if record is not None and response is not None and self._is_committed:
            record.status = response.status
            record.sent_s = self._sent_s
            record.ttft_s = self._ttft_s
            self._first_bytes = len(data)

    def _note(self, data: bytes) -> None:
        Relay._note(self, data)
        if self._record is not None:
            self._record.bytes_out += len(data)

    def _release(self, outcome: Outcome, now_s: float) -> None:
        record, is_held = self._record, self._choice is not None
        super()._release(outcome, now_s)
        if record is not None and is_held:
            # An answer that came in one piece is not noted piece by piece.
            record.bytes_out = record.bytes_out or self._first_bytes
            attempt = record.attempts[-1]
            attempt.outcome, attempt.ended_s = outcome.value, now_s
            record.outcome = outcome.value
            usage = self._usage
            tokens = tokens_of(self._ask, outcome, usage=usage, chunks=self._events())
            if usage is not None or tokens.output_tokens:
                record.input_tokens, record.output_tokens = tokens.input_tokens, tokens.output_tokens
