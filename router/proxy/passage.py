"""The way of one answer: what is kept of it, the point from which it is the client's, and its end.

How its body is passed on is told in `answer_body`, how its head is taken in `answer_head`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from router.exchange import Ask, Choice, Outcome
from router.http1.chunked import ChunkDecoder, ChunkWatcher
from router.http1.request_head import RequestHead
from router.http1.response_head import (
    CHUNKED,
    LENGTH,
    UNTIL_CLOSE,
    Framing,
    ResponseHead,
    client_head,
)
from router.openai import usage_in_tail
from router.proxy.energy_teller import EnergyTeller
from router.proxy.errors import error_chunk
from router.proxy.outcomes import ENGINE_ERROR, outcome_of

if TYPE_CHECKING:
    from router.proxy.client_side import ClientConnection
    from router.proxy.engine_side import EngineConnection
    from router.proxy.gateway import Gateway

TAIL_BYTES = 4096
"""How much of an answer's end is kept to read its usage from."""
TAIL_PIECES = 6
"""Pieces of a stream that are kept: vLLM sends usage, ``[DONE]`` and the last chunk one by one."""
JOINED_BYTES = 65_536
"""Head and body up to this size go out together: copying costs less than a second system call."""
OK = Outcome.OK


class Passage(ABC):
    """Passes one answer on.

    Until the first byte of the body the head is held back, so that an engine that dies with the request still in its
    queue (vLLM sends ``200`` at once) costs the client nothing: the request can be tried elsewhere. From that byte on
    the client is told what happens, and nothing is tried again.
    """

    __slots__ = (
        "_ask",
        "_choice",
        "_chunks",
        "_client",
        "_close",
        "_decoder",
        "_engine",
        "_framing",
        "_gateway",
        "_has_failed",
        "_head",
        "_held",
        "_is_committed",
        "_keeps_engine",
        "_left",
        "_received_s",
        "_response",
        "_sent_s",
        "_tail",
        "_teller",
        "_ttft_s",
        "_watcher",
    )

    def __init__(
        self, gateway: Gateway, client: ClientConnection, head: RequestHead, ask: Ask, received_s: float
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._head = head
        self._ask = ask
        self._received_s = received_s
        self._sent_s = received_s
        self._ttft_s: float | None = None
        self._choice: Choice | None = None
        self._engine: EngineConnection | None = None
        self._response: ResponseHead | None = None
        self._framing: Framing | None = None
        self._watcher: ChunkWatcher | None = None
        self._decoder: ChunkDecoder | None = None
        self._held = b""
        self._left = 0
        self._chunks = 0
        self._tail: deque[bytes] | tuple[bytes, ...] = ()
        self._keeps_engine = False
        self._has_failed = False
        self._is_committed = False
        self._close = False
        self._teller = EnergyTeller(gateway.dispatcher.energy) if ask.wants_energy else None

    def _commit(self, data: bytes, length: int | None = None) -> None:
        """Send the head, and with it the first bytes of the body: the point of no return."""
        response, choice, client = self._response, self._choice, self._client
        if response is None or choice is None:
            return
        self._is_committed = True
        gateway = self._gateway
        self._close = self._framing is UNTIL_CLOSE or self._decoder is not None or not client.keeps_alive()
        overhead_s = self._sent_s - self._received_s
        gateway.overhead.observe(overhead_s)
        told = gateway.told.fields(choice, overhead_s=overhead_s)
        if self._ask.charge is not None:
            told += self._ask.charge.told_fields()
        if self._teller is not None:
            told += self._energy_field(self._teller, data, length)
        head = client_head(
            response,
            length,
            told=told,
            chunked=self._watcher is not None,
            close=self._close,
        )
        if len(data) <= JOINED_BYTES:
            gateway.post(client.transport, head + data)
        else:
            gateway.post(client.transport, head)
            gateway.post(client.transport, data)
        if response.is_event_stream:
            self._ttft_s = gateway.now_s() - self._received_s
            gateway.dispatcher.first_byte(choice, self._ttft_s)
        client.patience_s = gateway.timeouts.inter_chunk_s
        client.has_moved = True

    def _tells_in_stream(self) -> bool:
        """Whether the energy is told within the answer's body: an event stream whose end can be seen."""
        response = self._response
        if self._teller is None or response is None or response.status != 200 or not response.is_event_stream:
            return False
        return self._framing is CHUNKED and b"content-encoding" not in response.fields

    def _energy_field(self, teller: EnergyTeller, data: bytes, length: int | None) -> bytes:
        """The line of the answer's head that tells the energy, empty where the body will or nothing was generated."""
        response = self._response
        if response is None or response.status != 200 or self._tells_in_stream():
            return b""
        is_known = len(data) == length and b"content-encoding" not in response.fields
        usage = usage_in_tail(data[-TAIL_BYTES:]) if is_known else None
        return teller.field(None if usage is None else (usage, True), self._gateway.steady_s())

    def _note(self, data: bytes) -> None:
        """Count the events and keep the end, where the usage stands."""
        self._chunks += data.count(b"data: ")
        tail = self._tail
        if isinstance(tail, tuple):
            tail = self._tail = deque(maxlen=TAIL_PIECES)
        tail.append(data if len(data) <= TAIL_BYTES else data[-TAIL_BYTES:])

    # The end.

    def _complete(self) -> None:
        gateway, engine, response = self._gateway, self._engine, self._response
        now_s = gateway.now_s()
        if engine is not None:
            self._engine = None
            if self._keeps_engine:
                gateway.engines.give_back(engine, now_s)
            else:
                engine.abort()
        self._release(ENGINE_ERROR if self._has_failed or response is None else outcome_of(response.status), now_s)
        self._client.finish(close=self._close)

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.abort()

    def _break_off(self, outcome: Outcome, reason: str) -> None:
        """The answer ends within its body: the client is told, and must not take it for complete."""
        if not self._is_committed:
            self._fail(outcome, reason)
            return
        self._gateway.attempt_failed(self._choice, outcome, reason)
        response, watcher, client = self._response, self._watcher, self._client
        is_stream = response is not None and response.is_event_stream
        if is_stream and watcher is not None and not watcher.is_complete and watcher.is_between_chunks():
            self._gateway.post(client.transport, error_chunk(reason, starts_line=self._ends_an_event()))
        self._drop_engine()
        self._release(outcome, self._gateway.now_s())
        if watcher is None and self._framing is not LENGTH:
            # Without a length or chunks the end of the connection is the end of the answer: only a reset differs.
            client.cut()
        else:
            client.finish(close=True)

    def _ends_an_event(self) -> bool:
        return b"".join(self._tail).endswith(b"\n\n\r\n")

    # What only the relay can do.

    @abstractmethod
    def _try_elsewhere(self, outcome: Outcome, *, may_wait: bool) -> bool:
        """Begin another attempt on another instance, if one may be made; `may_wait` for a free slot, too."""

    @abstractmethod
    def _fail(self, outcome: Outcome, reason: str) -> None:
        """The attempt failed before a byte was passed on."""

    @abstractmethod
    def _release(self, outcome: Outcome, now_s: float) -> None:
        """Give the slot back and account the attempt."""
