"""What goes wrong at a fake VTN, on demand."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Fault:
    """One kind of failure of the next `times` requests whose "METHOD /path" matches.

    `kind`: a status (401, 500, 429, ...), or ``slow``, ``hang``, ``malformed``, ``truncated``, ``huge``, ``broken``
    (the connection ends within the answer), ``twice`` (each object is listed twice), ``no_list``.
    """

    pattern: str
    kind: int | str
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)

    def strikes(self, request: web.Request) -> bool:
        if self.times <= 0 or not re.search(self.pattern, f"{request.method} {request.path}"):
            return False
        self.times -= 1
        return True


async def instead(fault: Fault) -> web.Response | None:
    """What is answered in place of the truth; None where the truth is only made worse."""
    if isinstance(fault.kind, int):
        problem = {"title": f"fault {fault.kind}", "status": fault.kind, "detail": "on demand"}
        body = json.dumps(problem).encode()
        return web.Response(
            status=fault.kind, body=body, content_type="application/problem+json", headers=fault.headers
        )
    if fault.kind in ("slow", "hang"):
        await asyncio.sleep(0.3 if fault.kind == "slow" else 30)
        return None
    bodies = {"malformed": b"<html>maintenance</html>", "no_list": b'{"events": []}', "huge": b" " * (9 << 20) + b"[]"}
    body = bodies.get(str(fault.kind))
    return None if body is None else web.Response(body=body, content_type="application/json")


async def worse(fault: Fault, request: web.Request, body: bytes) -> web.StreamResponse:
    """The truth, but cut short or told twice."""
    if fault.kind == "truncated":
        return web.Response(body=body[: len(body) // 2], content_type="application/json")
    if fault.kind == "twice":
        listed = json.loads(body)
        return web.json_response([entry for entry in listed for _ in range(2)])
    if fault.kind == "broken":
        response = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})
        await response.prepare(request)
        await response.write(body)
        assert request.transport is not None
        request.transport.abort()
        return response
    return web.Response(body=body, content_type="application/json")
