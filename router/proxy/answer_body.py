"""The bodies of answers: each form passes the engine's bytes on as they came, and knows where they end."""

from __future__ import annotations

import re
from collections.abc import Callable

from router.accounting import tokens_of
from router.http1.chunked import ChunkError
from router.http1.response_head import ResponseHead
from router.openai import Usage, usage_in_tail
from router.proxy.outcomes import ENGINE_ERROR
from router.proxy.passage import OK, TAIL_BYTES, Passage

MAX_PROLOGUE_BYTES = 16_384
MAX_GATHERED_BYTES = 1 << 20
"""Plain answers up to this size are gathered whole where the client asks for its energy; larger ones tell none."""
_OPENING_EVENT = rb"(?:[0-9a-fA-F]{1,8}\r\nevent: response\.(?:created|in_progress)\ndata: [^\r\n]*+\n\n\r\n)"
_PROLOGUE = re.compile(_OPENING_EVENT + rb"{1,2}")
"""Events that vLLM sends on /v1/responses as soon as it has read the request, while that waits in its queue."""
_FAILED_EVENT = re.compile(
    _OPENING_EVENT + rb'{0,2}[0-9a-fA-F]{1,8}\r\n(?:data: \{"error":[^\n]{0,2000}"code": ?5[0-9][0-9]\b'
    rb'|event: error\ndata: \{"type":"error","error":\{"type":"(?:internal_error|api_error|overloaded_error)")'
)
"""First event of a stream that an engine opened while the request was in its queue, and then could not serve: vLLM
says so in an event, after ``200``, and ends the stream in good order."""


class BodyPassage(Passage):
    """Passes an answer's body on, in pieces as they come."""

    __slots__ = ()

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
            payload = self._teller.weave_payload(payload, self._tokens_with, self._gateway.steady_s())
        if payload:
            self._pass_until_close(payload)
        if decoder.is_complete:
            if decoder.rest:
                self._keeps_engine = False
            if not self._is_committed:
                self._commit(b"")
            self._complete()

    # What only the answers pass whose clients ask for their energy.

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
            data = self._teller.weave(data, self._tokens_with, self._gateway.steady_s())
        self._pass_chunks(data)

    def _tokens_with(self, data: bytes) -> tuple[Usage, bool]:
        """Tokens of a stream up to these bytes, which are its next, and whether the engine told them."""
        usage = usage_in_tail(b"".join((*self._tail, self._held, data)))
        events = self._chunks + self._held.count(b"data: ") + data.count(b"data: ")
        return tokens_of(self._ask, OK, usage=usage, chunks=events), usage is not None
