"""Compressed bodies of requests: unpacked here, as engines are to get them plain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.exchange import Refusal
from router.http1.content_coding import CodingError, is_coded, unpack
from router.http1.request_head import RequestHead

if TYPE_CHECKING:
    from router.proxy.client_side import ClientConnection
    from router.proxy.gateway import Gateway

INLINE_BYTES = 262_144
"""A compressed body up to this size is unpacked at once; a larger one would keep the event loop."""


class Unpacker:
    """Serves requests whose bodies are compressed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def serve(self, client: ClientConnection, head: RequestHead, body: bytes | bytearray, coding: bytes) -> None:
        """Serve a compressed body: a small one at once, any other unpacked beside the event loop."""
        try:
            if is_coded(coding):
                body = unpack(body, min(INLINE_BYTES, self._gateway.limits.max_body_bytes))
        except CodingError as error:
            if error.status == 413:
                task = asyncio.get_running_loop().create_task(self._serve_aside(client, head, body))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._refuse(client, error)
            return
        self._gateway.dispatch(client, head, body, self._gateway.dispatcher.hints(head.fields))

    async def _serve_aside(self, client: ClientConnection, head: RequestHead, body: bytes | bytearray) -> None:
        # One after the other: what a body unpacks to is counted only when it is there.
        async with self._turn:
            if not client.awaits(head):
                return
            try:
                plain = await asyncio.to_thread(unpack, body, self._gateway.limits.max_body_bytes)
            except CodingError as error:
                if client.awaits(head):
                    self._refuse(client, error)
                return
        if client.awaits(head) and client.hold(len(plain)):
            self._gateway.dispatch(client, head, plain, self._gateway.dispatcher.hints(head.fields))

    def _refuse(self, client: ClientConnection, error: CodingError) -> None:
        reason = {413: "body_too_large", 415: "unsupported_coding"}.get(error.status, "bad_request")
        self._gateway.refuse_here(client, Refusal(error.status, reason, str(error)))
