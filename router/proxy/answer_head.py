"""The heads of answers: interim ones, an answer that comes in one piece, and which form a body has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.http1.chunked import ChunkDecoder
from router.http1.response_head import CHUNKED, LENGTH, UNTIL_CLOSE, AnswerError, ResponseHead, client_head
from router.proxy.answer_body import BodyPassage
from router.proxy.outcomes import ENGINE_ERROR, outcome_of
from router.proxy.passage import TAIL_BYTES

if TYPE_CHECKING:
    from router.proxy.engine_side import EngineConnection

MAX_INTERIM = 16
"""Interim answers (1xx) before the final one; engines send at most one."""


class HeadPassage(BodyPassage):
    """Passes an answer on from the first byte of its head."""

    __slots__ = ()

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
