"""What a test has the fake API server do instead of what was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.kube.refusals import status_body


@dataclass(frozen=True)
class Recorded:
    """One request as it came in; `body` is parsed JSON."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    user_agent: str
    body: Any = None

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") in ("1", "true")


Match = Callable[[Recorded], bool]


@dataclass
class Fault:
    """One fault; it is used up after `times` requests, None for never.

    Attributes:
        matches: requests that it befalls.
        code: what is answered; None for an answer that never comes.
        retry_after_s: tells the client when to ask again.
        times: further requests that it befalls.
    """

    matches: Match
    code: int | None = 500
    retry_after_s: int | None = None
    message: str = "asked for by a test"
    times: int | None = 1
    befell: int = 0

    def takes(self, request: Recorded) -> bool:
        if (self.times is not None and self.befell >= self.times) or not self.matches(request):
            return False
        self.befell += 1
        return True


@dataclass
class Faults:
    """The faults in force, and whether the whole server is frozen: it takes connections and requests, and is silent."""

    every: list[Fault] = field(default_factory=list)
    frozen: bool = False

    def add(self, code: int | None, matches: Match = lambda _: True, **more: Any) -> Fault:
        fault = Fault(matches, code, **more)
        self.every.append(fault)
        return fault

    def clear(self) -> None:
        self.every.clear()
        self.frozen = False

    async def befall(self, request: Recorded) -> web.Response | None:
        """The answer to give in place of the right one; does not return where there is to be none."""
        fault = next((fault for fault in self.every if fault.takes(request)), None)
        if self.frozen or (fault is not None and fault.code is None):
            await asyncio.Event().wait()
        if fault is None or fault.code is None:
            return None
        headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
        return web.json_response(status_body(fault.code, fault.message), status=fault.code, headers=headers)


def reset(request: web.Request) -> None:
    """Cut the connection as a process that is killed does: the other side reads a reset, not an end."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
