"""One request on its way: to an engine, maybe to another one, and its answer back to the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.accounting import tokens_of
from router.contract import InstanceId
from router.exchange import Ask, Choice, Outcome, Refusal
from router.http1.request_head import RequestHead, engine_head, engine_message
from router.http1.response_head import UNTIL_CLOSE
from router.openai import Usage, usage_in_tail
from router.proxy.answer_head import HeadPassage
from router.proxy.outcomes import FAILURES
from router.proxy.passage import JOINED_BYTES, OK

if TYPE_CHECKING:
    from router.proxy.client_side import ClientConnection
    from router.proxy.engine_side import EngineConnection
    from router.proxy.gateway import Gateway


class Relay(HeadPassage):
    """Serves one request: finds an engine, sends it the request, and tries another where that may be done.

    Args:
        gateway: what the connections share.
        client: whose request it is.
        head: the request's head.
        body: its body, None where it has none.
        ask: what routing made of it.
        received_s: monotonic time at which it was complete.
    """

    __slots__ = ("_body", "_connecting", "_ticket", "_tried", "_unreached", "_usage", "_was_reset_once")

    extra = b""
    """Field lines that the engine gets besides the client's, each ended by CRLF."""

    def __init__(
        self,
        gateway: Gateway,
        client: ClientConnection,
        head: RequestHead,
        body: bytes | bytearray | None,
        ask: Ask,
        received_s: float,
    ) -> None:
        HeadPassage.__init__(self, gateway, client, head, ask, received_s)
        self._body = body
        self._ticket: object = None
        self._tried: tuple[InstanceId, ...] = ()
        self._unreached = 0
        self._usage: Usage | None = None
        self._was_reset_once = False
        self._connecting: asyncio.Task[None] | None = None

    # Finding an engine.

    def begin(self, steady_s: float) -> None:
        """Choose an instance, or wait for a free one."""
        found = self._gateway.dispatcher.choose(self._ask, steady_s)
        if isinstance(found, Choice):
            self._attempt(found)
        elif found is None:
            self._wait(steady_s)
        else:
            self._granted(found)

    def _wait(self, steady_s: float) -> None:
        self._client.rest()
        ticket = self._gateway.dispatcher.enqueue(self._ask, steady_s, self._granted, self._tried)
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
        gateway = self._gateway
        now_s = gateway.now_s()
        engine = gateway.engines.take(choice.spec.address, now_s)
        if engine is None:
            self._connect(choice)
        else:
            engine.user = self
            self._send(engine, now_s)

    def _connect(self, choice: Choice) -> None:
        gateway = self._gateway
        self._client.expect_within(gateway.timeouts.connect_s)
        self._connecting = gateway.engines.connect(choice.spec.address, self)

    def _send(self, engine: EngineConnection, now_s: float) -> None:
        self._engine = engine
        self._sent_s = now_s
        engine.receive = self.receive_head
        if self._teller is not None and self._choice is not None:
            self._teller.sent(self._choice.spec.instance_id, self._gateway.epoch_s + now_s)
        client = self._client
        client.patience_s = self._gateway.timeouts.first_byte_s
        client.has_moved = True
        body, post, extra = self._body, self._gateway.post, self.extra
        keys = self._gateway.engine_keys
        if keys is not None and self._choice is not None:
            extra += keys.line(self._choice.spec.pool_id)
        if body is None or len(body) <= JOINED_BYTES:
            post(engine.transport, engine_message(self._head, body, extra))
        else:
            post(engine.transport, engine_head(self._head, len(body), extra))
            post(engine.transport, body)

    # What the engine's side tells.

    def engine_connected(self, engine: EngineConnection) -> None:
        """Send the request."""
        self._connecting = None
        self._send(engine, self._gateway.now_s())

    def engine_refused(self, reason: str, told: str | None = None) -> None:
        """No connection: nothing was sent, so it may be tried elsewhere."""
        self._connecting = None
        self._fail(Outcome.CONNECT_FAILED, reason, told)

    def engine_lost(self, error: Exception | None) -> None:
        """The engine's connection has ended."""
        engine, self._engine = self._engine, None
        if self._framing is UNTIL_CLOSE and error is None:
            if not self._is_committed:
                self._commit(b"")
            self._complete()
        elif self._is_committed:
            self._break_off(Outcome.RESET, "the engine closed the connection within its answer")
        elif self._choice is not None and engine is not None and self._is_harmless_loss(engine):
            # It closed an idle connection just as this request was sent: it has not read the request.
            self._was_reset_once = True
            self._connect(self._choice)
        else:
            self._fail(Outcome.RESET, str(error or "end of file"))

    def _is_harmless_loss(self, engine: EngineConnection) -> bool:
        return engine.is_reused and not self._held and self._response is None and not self._was_reset_once

    # Trying again, and giving up.

    def _try_elsewhere(self, outcome: Outcome, *, may_wait: bool) -> bool:
        old = self._choice
        if old is None:
            return False
        dispatcher, steady_s = self._gateway.dispatcher, self._gateway.steady_s()
        if outcome is Outcome.CONNECT_FAILED:
            self._unreached += 1
        tried = (*self._tried, old.spec.instance_id)
        if not dispatcher.may_retry(self._ask, outcome, len(tried) - self._unreached, steady_s, self._unreached):
            return False
        found = dispatcher.choose(self._ask, steady_s, tried)
        if isinstance(found, Refusal) or (found is None and not may_wait):
            return False
        dispatcher.count_retry(outcome)
        self._tried = tried
        self._forget_attempt(outcome)
        if found is None:
            self._wait(steady_s)
        else:
            self._attempt(found)
        return True

    def _forget_attempt(self, outcome: Outcome) -> None:
        self._drop_engine()
        self._release(outcome, self._gateway.now_s())
        self._response = None
        self._framing = None
        self._has_failed = False
        self._watcher = None
        self._decoder = None
        self._held = b""
        self._tail = ()
        self._chunks = 0

    def _commit(self, data: bytes, length: int | None = None) -> None:
        HeadPassage._commit(self, data, length)
        # Nothing is tried again from here on, and a long stream must not hold a large prompt to its end.
        self._body = None
        self._client.let_body_go()

    def _fail(self, outcome: Outcome, reason: str, told: str | None = None) -> None:
        if self._is_committed:
            self._break_off(outcome, reason)
            return
        choice = self._choice
        self._gateway.attempt_failed(choice, outcome, reason)
        if self._try_elsewhere(outcome, may_wait=True):
            return
        self._forget_attempt(outcome)
        status, code, message = FAILURES[outcome]
        where = "" if choice is None else f" ({choice.spec.instance_id}: {told or reason})"
        self._client.relay = None
        charge = self._ask.charge
        fields = b"" if charge is None else charge.told_fields()
        retry_after_s = 1.0 if status == 503 else None
        refusal = Refusal(status, code, message + where, retry_after_s, fields=fields)
        self._gateway.refuse_here(self._client, refusal, self._ask.class_id)

    def _release(self, outcome: Outcome, now_s: float) -> None:
        choice, self._choice = self._choice, None
        if choice is None:
            return
        gateway = self._gateway
        tail = self._tail
        usage = self._usage = usage_in_tail(b"".join(tail)) if outcome is OK and tail else None
        gateway.dispatcher.release(
            choice,
            self._ask,
            outcome,
            usage=usage,
            chunks=self._events(),
            duration_s=now_s - self._received_s,
            now_s=gateway.epoch_s + now_s,
            ttft_s=self._ttft_s,
        )

    def _events(self) -> int:
        """Events of a stream that were passed on; 0 for any other answer."""
        return self._chunks if self._response is not None and self._response.is_event_stream else 0

    def progress(self) -> tuple[Choice, Usage] | None:
        """Who serves a stream that is under way, and its tokens so far; None for all else."""
        choice, events = self._choice, self._events()
        if choice is None or not events:
            return None
        return choice, tokens_of(self._ask, OK, usage=None, chunks=events)

    # What the client's side tells.

    def pause(self) -> None:
        """The client reads slowly."""
        if self._engine is not None:
            self._engine.pause()
        self._client.expect_within(self._gateway.timeouts.inter_chunk_s)

    def resume(self) -> None:
        """The client has caught up."""
        if self._engine is not None:
            self._engine.resume()

    def client_gone(self) -> None:
        """Nobody waits any more: free the engine at once."""
        self._gateway.clients_gone += 1
        if self._ticket is not None:
            self._gateway.dispatcher.cancel(self._ticket)
            self._ticket = None
        self._give_up_connecting()
        self._drop_engine()
        self._release(Outcome.CLIENT_GONE, self._gateway.now_s())

    def on_deadline(self) -> None:
        """The engine, or a client that does not read, kept silent for too long."""
        client, timeouts = self._client, self._gateway.timeouts
        if client.is_write_paused and self._is_committed:
            if client.reads_on():
                client.expect_within(timeouts.inter_chunk_s)
            else:
                client.reset()
            return
        if self._connecting is not None:
            self._give_up_connecting()
            self._fail(Outcome.CONNECT_FAILED, "no connection in time")
            return
        limit_s = timeouts.inter_chunk_s if self._is_committed else timeouts.first_byte_s
        if not self._is_committed:
            self._drop_engine()
        self._break_off(Outcome.TIMED_OUT, f"the engine was silent for {limit_s:g} s")

    def _give_up_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
