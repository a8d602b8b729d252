"""The way of one answer: from the first byte of the engine's head to the last byte of the body at the client."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from router.accounting import tokens_of
from router.exchange import Ask, Choice, Outcome
from router.http1.chunked import ChunkDecoder, ChunkError, ChunkWatcher
from router.http1.request_head import RequestHead
from router.http1.response_head import (
    CHUNKED,
    LENGTH,
    UNTIL_CLOSE,
    AnswerError,
    Framing,
    ResponseHead,
    client_head,
)
from router.openai import Usage, usage_in_tail
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
MAX_INTERIM = 16
"""Interim answers (1xx) before the final one; engines send at most one."""
MAX_PROLOGUE_BYTES = 16_384
MAX_GATHERED_BYTES = 1 << 20
"""Plain answers up to this size are gathered whole where the client asks for its energy; larger ones tell none."""
OK = Outcome.OK
_OPENING_EVENT = rb"(?:[0-9a-fA-F]{1,8}\r\nevent: response\.(?:created|in_progress)\ndata: [^\r\n]*+\n\n\r\n)"
_PROLOGUE = re.compile(_OPENING_EVENT + rb"{1,2}")
"""Events that vLLM sends on /v1/responses as soon as it has read the request, while that waits in its queue."""
_FAILED_EVENT = re.compile(
    _OPENING_EVENT + rb'{0,2}[0-9a-fA-F]{1,8}\r\n(?:data: \{"error":[^\n]{0,2000}"code": ?5[0-9][0-9]\b'
    rb'|event: error\ndata: \{"type":"error","error":\{"type":"(?:internal_error|api_error|overloaded_error)")'
)
"""First event of a stream that an engine opened while the request was in its queue, and then could not serve: vLLM
says so in an event, after ``200``, and ends the stream in good order."""


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

    # Before the first byte of the answer's body.

    def receive_head(self, data: bytes) -> None:
        """Take bytes of the answer's head."""
        if self._held:
            data = self._held + data
        for _ in range(1 + MAX_INTERIM):
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 or end > self._gateway.limits.max_head_bytes:
                self._hold(data)
                return
            try:
                response, length = self._gateway.answers.read(data[:end])
            except AnswerError as error:
                self._misunderstand(str(error))
                return
            data = data[end:]
            if response.status >= 200:
                self._take_answer(response, length, data)
                return
            self._held = b""
            if response.status == 101:
                self._misunderstand("it switched protocols unasked")
                return
            self._pass_interim(response)
        self._misunderstand("too many interim answers")

    def _misunderstand(self, reason: str) -> None:
        self._drop_engine()
        self._fail(ENGINE_ERROR, reason)

    def _take_answer(self, response: ResponseHead, length: int | None, rest: bytes) -> None:
        status = response.status
        if status == 200 and len(rest) == length and not self._head.is_head:
            self._pass_whole(response, rest)
        elif status < 429 or not self._try_elsewhere(outcome_of(status), may_wait=False):
            self._response = response
            self._begin_body(response, length, rest)

    def _pass_whole(self, response: ResponseHead, body: bytes) -> None:
        """Pass an answer on that came in one piece, as most plain ones do."""
        self._response = response
        self._framing = LENGTH
        self._keeps_engine = response.keep_alive
        self._tail = (body[-TAIL_BYTES:],)
        self._commit(body, len(body))
        self._complete()

    def _hold(self, data: bytes) -> None:
        self._held = data
        if len(data) > self._gateway.limits.max_head_bytes:
            self._misunderstand("its head is too large")

    def _pass_interim(self, response: ResponseHead) -> None:
        # The router itself answered Expect, so the engine's own 100 is nothing to the client.
        if response.status != 100 and not self._head.is_http10:
            self._gateway.post(self._client.transport, client_head(response, None))
        if self._engine is not None:
            # It has read the request, so a loss from now on is no harmless race for an idle connection.
            self._engine.is_reused = False

    def _begin_body(self, response: ResponseHead, length: int | None, rest: bytes) -> None:
        engine = self._engine
        if engine is None:
            return
        self._held = b""
        self._keeps_engine = response.keep_alive
        framing = self._framing = response.framing(length, to_head=self._head.is_head)
        if framing is LENGTH and length:
            self._left = length
            engine.receive = self._pass_length if self._teller is None else self._receiver_of_length(response, length)
        elif framing is CHUNKED:
            self._begin_chunks(engine)
        elif framing is UNTIL_CLOSE:
            self._keeps_engine = False
            engine.receive = self._pass_until_close
        else:
            self._commit(b"", length)
            if rest:
                self._keeps_engine = False
            self._complete()
            return
        if rest and engine.receive is not None:
            engine.receive(rest)

    def _begin_chunks(self, engine: EngineConnection) -> None:
        if self._head.is_http10:
            self._decoder = ChunkDecoder()
            engine.receive = self._pass_decoded
        else:
            self._watcher = engine.begin_chunked()
            engine.receive = self._pass_telling if self._tells_in_stream() else self._pass_chunks

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

    # The body. Each form passes the engine's bytes on as they came, and knows where they end.

    def _pass_chunks(self, data: bytes) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        try:
            watcher.feed(data)
        except ChunkError as error:
            self._drop_engine()
            self._break_off(ENGINE_ERROR, str(error))
            return
        if self._is_committed:
            client = self._client
            self._gateway.post(client.transport, data)
            client.has_moved = True
        elif self._response is not None and self._response.is_event_stream:
            if not self._begin_events(data):
                return
        else:
            self._commit(data)
        self._note(data)
        if watcher.is_complete:
            self._complete()

    def _begin_events(self, data: bytes) -> bool:
        """Commit to a stream at the first event that shows that the engine works on it; True if committed."""
        held = self._held = self._held + data
        if len(held) < MAX_PROLOGUE_BYTES and _PROLOGUE.fullmatch(held):
            return False
        if _FAILED_EVENT.match(held):
            self._has_failed = True
            if self._try_elsewhere(ENGINE_ERROR, may_wait=False):
                return False
        self._held = b""
        self._commit(held)
        return True

    def _pass_length(self, data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            data = data[: self._left]
            left = 0
            self._keeps_engine = False
        self._pass_on(data, self._left)
        self._left = left
        self._note(data)
        if left == 0:
            self._complete()

    # What only the answers pass whose clients ask for their energy.

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
        return teller.field(None if usage is None else (usage, True), self._gateway.wall_s())

    def _receiver_of_length(self, response: ResponseHead, length: int) -> Callable[[bytes], None]:
        is_plain = response.status == 200 and not response.is_event_stream and length <= MAX_GATHERED_BYTES
        return self._gather if is_plain else self._pass_length

    def _gather(self, data: bytes) -> None:
        """Wait for the whole of a plain answer: its head tells what stands at its end."""
        held = self._held = self._held + data
        self._client.has_moved = True
        if len(held) < self._left:
            return
        if len(held) > self._left:
            self._keeps_engine = False
        whole, self._held = held[: self._left], b""
        self._tail = (whole[-TAIL_BYTES:],)
        self._commit(whole, self._left)
        self._complete()

    def _pass_telling(self, data: bytes) -> None:
        """Pass chunks on, with the comment among them."""
        if self._teller is not None:
            data = self._teller.weave(data, self._tokens_with, self._gateway.wall_s())
        self._pass_chunks(data)

    def _tokens_with(self, data: bytes) -> tuple[Usage, bool]:
        """Tokens of a stream up to these bytes, which are its next, and whether the engine told them."""
        usage = usage_in_tail(b"".join((*self._tail, self._held, data)))
        events = self._chunks + self._held.count(b"data: ") + data.count(b"data: ")
        return tokens_of(self._ask, OK, usage=usage, chunks=events), usage is not None

    def _pass_until_close(self, data: bytes) -> None:
        self._pass_on(data)
        self._note(data)

    def _pass_on(self, data: bytes, length: int | None = None) -> None:
        if self._is_committed:
            client = self._client
            self._gateway.post(client.transport, data)
            client.has_moved = True
        else:
            self._commit(data, length)

    def _pass_decoded(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is None:
            return
        try:
            payload = b"".join(decoder.feed(data))
        except ChunkError as error:
            self._drop_engine()
            self._break_off(ENGINE_ERROR, str(error))
            return
        if payload and self._tells_in_stream() and self._teller is not None:
            payload = self._teller.weave_payload(payload, self._tokens_with, self._gateway.wall_s())
        if payload:
            self._pass_until_close(payload)
        if decoder.is_complete:
            if decoder.rest:
                self._keeps_engine = False
            if not self._is_committed:
                self._commit(b"")
            self._complete()

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
