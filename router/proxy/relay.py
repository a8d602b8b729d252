"""One request on its way: to an engine, maybe to another one, and the answer's bytes back to the client."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from router.contract import InstanceId
from router.exchange import Ask, Choice, Outcome, Refusal
from router.http1.chunked import ChunkDecoder, ChunkError, ChunkWatcher
from router.http1.request_head import RequestHead, engine_head
from router.http1.response_head import (
    CHUNKED,
    LENGTH,
    UNTIL_CLOSE,
    AnswerError,
    ResponseHead,
    client_head,
    parse_response_head,
)
from router.openai import usage_in_tail
from router.proxy.errors import error_chunk
from router.proxy.outcomes import CLIENT_ERROR, ENGINE_ERROR, FAILURES, OK, outcome_of
from router.proxy.told import told_fields

if TYPE_CHECKING:
    from router.proxy.client_side import ClientConnection
    from router.proxy.engine_side import EngineConnection
    from router.proxy.gateway import Gateway

TAIL_BYTES = 4096
"""How much of an answer's end is kept to read its usage from."""
JOINED_BYTES = 65_536
"""Head and body up to this size go out together: copying costs less than a second system call."""


class Relay:
    """Serves one request.

    Until the first byte of the answer's body the head is held back, so that an engine that dies with the request
    still in its queue (vLLM sends ``200`` at once) costs the client nothing: the request is tried elsewhere. From
    that byte on the client is told what happens, and nothing is tried again.
    """

    __slots__ = (
        "_ask",
        "_attempts",
        "_body",
        "_choice",
        "_chunks",
        "_client",
        "_close",
        "_connecting",
        "_decoder",
        "_engine",
        "_gateway",
        "_head",
        "_held",
        "_is_committed",
        "_left",
        "_received_s",
        "_response",
        "_sent_s",
        "_tail",
        "_ticket",
        "_tried",
        "_ttft_s",
        "_was_reset_once",
        "_watcher",
    )

    def __init__(
        self, gateway: Gateway, client: ClientConnection, *, ask: Ask, head: RequestHead, body: bytes | bytearray
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._ask = ask
        self._head = head
        self._body = body
        self._received_s = gateway.now_s()
        self._sent_s = 0.0
        self._ttft_s: float | None = None
        self._choice: Choice | None = None
        self._ticket: object = None
        self._tried: tuple[InstanceId, ...] = ()
        self._attempts = 0
        self._was_reset_once = False
        self._connecting: asyncio.Task[None] | None = None
        self._engine: EngineConnection | None = None
        self._response: ResponseHead | None = None
        self._watcher: ChunkWatcher | None = None
        self._decoder: ChunkDecoder | None = None
        self._held = b""
        self._left = 0
        self._chunks = 0
        self._tail = bytearray()
        self._is_committed = False
        self._close = False

    # Finding an engine.

    def begin(self) -> None:
        """Choose an instance, or wait for a free one."""
        gateway = self._gateway
        now_s = gateway.wall_s()
        found = gateway.dispatcher.choose(self._ask, now_s)
        if found is None:
            self._wait(now_s)
        else:
            self._granted(found)

    def _wait(self, now_s: float) -> None:
        self._client.deadline_s = math.inf
        ticket = self._gateway.dispatcher.enqueue(self._ask, now_s, self._granted)
        if isinstance(ticket, Refusal):
            self._granted(ticket)
        else:
            self._ticket = ticket

    def _granted(self, found: Choice | Refusal) -> None:
        self._ticket = None
        if isinstance(found, Refusal):
            self._client.relay = None
            self._gateway.refuse(self._client, found)
        else:
            self._attempt(found)

    def _attempt(self, choice: Choice) -> None:
        self._choice = choice
        self._attempts += 1
        now_s = self._gateway.now_s()
        engine = self._gateway.engines.take((choice.host, choice.port), now_s)
        if engine is None:
            self._connect(choice)
        else:
            engine.user = self
            self._send(engine, now_s)

    def _connect(self, choice: Choice) -> None:
        gateway = self._gateway
        self._client.deadline_s = gateway.now_s() + gateway.timeouts.connect_s
        self._connecting = gateway.engines.connect((choice.host, choice.port), self)

    # What the engine's side tells.

    def engine_connected(self, engine: EngineConnection) -> None:
        """Send the request."""
        self._connecting = None
        self._send(engine, self._gateway.now_s())

    def _send(self, engine: EngineConnection, now_s: float) -> None:
        self._engine = engine
        self._sent_s = now_s
        engine.receive = self._receive_head
        self._client.deadline_s = now_s + self._gateway.timeouts.first_byte_s
        body = self._body
        head = engine_head(self._head, len(body))
        if len(body) <= JOINED_BYTES:
            engine.transport.write(head + body)
        else:
            engine.transport.write(head)
            engine.transport.write(body)

    def engine_refused(self, reason: str) -> None:
        """No connection: nothing was sent, so it may be tried elsewhere."""
        self._connecting = None
        self._fail(Outcome.CONNECT_FAILED, reason)

    def engine_lost(self, error: Exception | None) -> None:
        """The engine's connection has ended."""
        engine, self._engine = self._engine, None
        response = self._response
        if response is not None and response.framing is UNTIL_CLOSE and error is None:
            self._commit(b"")
            self._complete()
        elif self._is_committed:
            self._break_off(Outcome.RESET, "the engine closed the connection within its answer")
        elif engine is not None and engine.is_reused and not self._held and response is None and self._may_reset():
            # It closed an idle connection just as this request was sent: it has not read the request.
            if self._choice is not None:
                self._connect(self._choice)
        else:
            self._fail(Outcome.RESET, str(error or "end of file"))

    def _may_reset(self) -> bool:
        if self._was_reset_once:
            return False
        self._was_reset_once = True
        return True

    # Before the first byte of the answer's body.

    def _receive_head(self, data: bytes) -> None:
        held = self._held + data if self._held else data
        end = held.find(b"\r\n\r\n") + 4
        if end < 4:
            self._held = held
            if len(held) > self._gateway.limits.max_head_bytes:
                self._drop_engine()
                self._fail(ENGINE_ERROR, "its head is too large")
            return
        try:
            response = parse_response_head(held[:end], to_head=self._head.method == b"HEAD")
            if response.status == 101:
                raise AnswerError("the engine switched protocols unasked")
        except AnswerError as error:
            self._drop_engine()
            self._fail(ENGINE_ERROR, str(error))
            return
        rest = held[end:]
        if response.status < 200:
            self._pass_interim(response, rest)
            return
        self._held = rest
        outcome = outcome_of(response.status)
        if outcome is not OK and outcome is not CLIENT_ERROR and self._try_elsewhere(outcome, may_wait=False):
            return
        self._response = response
        self._begin_body(response, rest)

    def _pass_interim(self, response: ResponseHead, rest: bytes) -> None:
        # The router itself answered Expect, so the engine's own 100 is nothing to the client.
        if response.status != 100 and not self._head.is_http10:
            self._client.transport.write(client_head(response, told=b"", chunked=False, close=False))
        self._held = b""
        if self._engine is not None:
            # It has read the request, so a loss from now on is no harmless race for an idle connection.
            self._engine.is_reused = False
        if rest:
            self._receive_head(rest)

    def _begin_body(self, response: ResponseHead, rest: bytes) -> None:
        engine = self._engine
        if engine is None:
            return
        self._held = b""
        framing = response.framing
        if framing is LENGTH and response.length:
            self._left = response.length
            engine.receive = self._relay_length
        elif framing is CHUNKED:
            if self._head.is_http10:
                self._decoder = ChunkDecoder()
                engine.receive = self._relay_decoded
            else:
                self._watcher = engine.begin_chunked()
                engine.receive = self._relay_chunked
        elif framing is UNTIL_CLOSE:
            engine.receive = self._relay_until_close
        else:
            self._commit(b"")
            if rest:
                response.keep_alive = False
            self._complete()
            return
        if rest:
            engine.receive(rest)

    def _commit(self, data: bytes) -> None:
        """Send the head, and with it the first bytes of the body: the point of no return."""
        if self._is_committed:
            if data:
                self._client.transport.write(data)
            return
        response, choice = self._response, self._choice
        if response is None or choice is None:
            return
        self._is_committed = True
        gateway, client = self._gateway, self._client
        chunked = self._watcher is not None
        self._close = response.framing is UNTIL_CLOSE or self._decoder is not None or not client.keeps_alive()
        told = told_fields(choice, overhead_s=self._sent_s - self._received_s)
        head = client_head(response, told=told, chunked=chunked, close=self._close)
        if len(data) <= JOINED_BYTES:
            client.transport.write(head + data)
        else:
            client.transport.write(head)
            client.transport.write(data)
        if response.is_event_stream:
            self._ttft_s = gateway.now_s() - self._received_s
            gateway.dispatcher.first_byte(choice, self._ttft_s)
        client.patience_s = gateway.timeouts.inter_chunk_s
        client.has_moved = True

    # The body. Each form passes the engine's bytes on as they came, and knows where they end.

    def _relay_chunked(self, data: bytes) -> None:
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
            client.transport.write(data)
            client.has_moved = True
        else:
            self._commit(data)
        self._chunks += data.count(b"data: ")
        self._tail += data
        if len(self._tail) > TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        if watcher.is_complete:
            self._complete()

    def _relay_length(self, data: bytes) -> None:
        size = len(data)
        if size > self._left:
            data = data[: self._left]
            size = self._left
            if self._response is not None:
                self._response.keep_alive = False
        self._left -= size
        self._commit(data)
        self._note(data)
        if self._left == 0:
            self._complete()

    def _relay_until_close(self, data: bytes) -> None:
        self._commit(data)
        self._note(data)

    def _relay_decoded(self, data: bytes) -> None:
        decoder = self._decoder
        if decoder is None:
            return
        try:
            payload = b"".join(decoder.feed(data))
        except ChunkError as error:
            self._drop_engine()
            self._break_off(ENGINE_ERROR, str(error))
            return
        if payload:
            self._commit(payload)
            self._note(payload)
        if decoder.is_complete:
            if decoder.rest and self._response is not None:
                self._response.keep_alive = False
            self._commit(b"")
            self._complete()

    def _note(self, data: bytes) -> None:
        self._client.has_moved = True
        self._tail += data[-TAIL_BYTES:]
        if len(self._tail) > TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        if self._response is not None and self._response.is_event_stream:
            self._chunks += data.count(b"data: ")

    # The end.

    def _complete(self) -> None:
        gateway, engine, response = self._gateway, self._engine, self._response
        now_s = gateway.now_s()
        if engine is not None:
            self._engine = None
            if response is not None and response.keep_alive:
                gateway.engines.give_back(engine, now_s)
            else:
                engine.abort()
        self._release(OK if response is None else outcome_of(response.status), now_s)
        self._client.finish(close=self._close)

    def _release(self, outcome: Outcome, now_s: float) -> None:
        choice, self._choice = self._choice, None
        if choice is None:
            return
        gateway = self._gateway
        usage = usage_in_tail(self._tail) if outcome is OK and self._tail else None
        gateway.dispatcher.release(
            choice,
            self._ask,
            outcome,
            usage=usage,
            chunks=self._chunks,
            duration_s=now_s - self._received_s,
            now_s=gateway.wall_s(),
            ttft_s=self._ttft_s,
        )

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.abort()

    def _try_elsewhere(self, outcome: Outcome, *, may_wait: bool) -> bool:
        """Begin another attempt on another instance, if one may be made; `may_wait` for a free slot, too."""
        old = self._choice
        if old is None:
            return False
        dispatcher, now_s = self._gateway.dispatcher, self._gateway.wall_s()
        if not dispatcher.may_retry(self._ask, outcome, self._attempts, now_s):
            return False
        tried = (*self._tried, old.instance_id)
        found = dispatcher.choose(self._ask, now_s, tried)
        if isinstance(found, Refusal) or (found is None and not may_wait):
            return False
        self._tried = tried
        self._forget_attempt(outcome)
        if found is None:
            self._wait(now_s)
        else:
            self._attempt(found)
        return True

    def _forget_attempt(self, outcome: Outcome) -> None:
        self._drop_engine()
        self._release(outcome, self._gateway.now_s())
        self._response = None
        self._watcher = None
        self._decoder = None
        self._held = b""
        self._tail.clear()

    def _fail(self, outcome: Outcome, reason: str) -> None:
        """The attempt failed before a byte was passed on."""
        if self._is_committed:
            self._break_off(outcome, reason)
            return
        choice = self._choice
        self._gateway.attempt_failed(choice, outcome, reason)
        if self._try_elsewhere(outcome, may_wait=True):
            return
        self._forget_attempt(outcome)
        status, code, message = FAILURES[outcome]
        where = "" if choice is None else f" ({choice.instance_id}: {reason})"
        self._client.relay = None
        self._gateway.refuse_here(self._client, Refusal(status, code, message + where, 1.0 if status == 503 else None))

    def _break_off(self, outcome: Outcome, reason: str) -> None:
        """The answer ends within its body: the client is told, and must not take it for complete."""
        if not self._is_committed:
            self._fail(outcome, reason)
            return
        self._gateway.attempt_failed(self._choice, outcome, reason)
        response, watcher, client = self._response, self._watcher, self._client
        is_stream = response is not None and response.is_event_stream
        if is_stream and watcher is not None and not watcher.is_complete and watcher.is_between_chunks():
            client.transport.write(error_chunk(reason, starts_line=self._tail.endswith(b"\n\n\r\n")))
        self._drop_engine()
        self._release(outcome, self._gateway.now_s())
        if watcher is None and response is not None and response.framing is not LENGTH:
            # Without a length or chunks the end of the connection is the end of the answer: only a reset differs.
            client.cut()
        else:
            client.finish(close=True)

    # What the client's side tells.

    def pause(self) -> None:
        """The client reads slowly."""
        client = self._client
        if self._engine is not None:
            self._engine.pause()
        client.has_moved = False
        client.deadline_s = self._gateway.now_s() + self._gateway.timeouts.inter_chunk_s

    def resume(self) -> None:
        """The client has caught up."""
        self._client.has_moved = self._is_committed
        if self._engine is not None:
            self._engine.resume()

    def client_gone(self) -> None:
        """Nobody waits any more: free the engine at once."""
        if self._ticket is not None:
            self._gateway.dispatcher.cancel(self._ticket)
            self._ticket = None
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self._drop_engine()
        self._release(Outcome.CLIENT_GONE, self._gateway.now_s())

    def on_deadline(self) -> None:
        """The engine, or a client that does not read, kept silent for too long."""
        if self._client.is_write_paused and self._is_committed:
            self._client.transport.abort()
            return
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
            self._fail(Outcome.CONNECT_FAILED, "no connection in time")
            return
        timeouts = self._gateway.timeouts
        limit_s = timeouts.inter_chunk_s if self._is_committed else timeouts.first_byte_s
        if not self._is_committed:
            self._drop_engine()
        self._break_off(Outcome.TIMED_OUT, f"the engine was silent for {limit_s:g} s")
