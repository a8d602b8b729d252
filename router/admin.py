"""The verbs of the admin port: /metrics, /healthz, /readyz, /state and /drain. Never reachable through the public port.

Whoever reaches the admin port can read the fleet's addresses and take the router out of service: bind it to an
address of the operator's network only.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from router.admin_port import Handler, Request, Response, refusal
from router.metrics import expose
from router.snapshot import Snapshot, state_document


class AdminSource(Protocol):
    """What the admin port tells of and acts on: one worker, or all of them together."""

    async def snapshot(self) -> Snapshot:
        """The state now, summed over workers."""

    def is_draining(self) -> bool:
        """Whether the router is going down and takes no new connection."""

    def drain(self) -> None:
        """Take no new connection, let requests in flight end, then stop. Harmless when repeated."""


class Admin:
    """Answers the requests of the admin port.

    Args:
        source: what is told of and acted on.
    """

    def __init__(self, source: AdminSource) -> None:
        self._source = source
        self._verbs: dict[str, dict[str, Handler]] = {
            "/metrics": {"GET": self._metrics},
            "/healthz": {"GET": self._healthz},
            "/readyz": {"GET": self._readyz},
            "/state": {"GET": self._state},
            "/drain": {"POST": self._drain},
        }

    async def __call__(self, request: Request) -> Response:
        """Answer one request; HEAD is GET without the body."""
        methods = self._verbs.get(request.path)
        if methods is None:
            known = ", ".join(self._verbs)
            return refusal(404, f"{request.method} {request.path}: not found; the admin port has {known}")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            allowed = ", ".join(methods)
            return refusal(405, f"{request.method} {request.path}: method not allowed; use {allowed}", allow=allowed)
        return await handler(request)

    async def _metrics(self, request: Request) -> Response:
        body, content_type = expose(await self._source.snapshot(), request.fields.get("accept", ""))
        return Response(body, content_type=content_type)

    async def _healthz(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def _readyz(self, _request: Request) -> Response:
        if self._source.is_draining():
            return _json({"status": "draining"}, status=503)
        if not (await self._source.snapshot()).ready:
            return _json({"status": "no usable instance"}, status=503)
        return _json({"status": "ready"})

    async def _state(self, _request: Request) -> Response:
        return _json(state_document(await self._source.snapshot()))

    async def _drain(self, _request: Request) -> Response:
        self._source.drain()
        return _json({"status": "draining"}, status=202)


def _json(document: object, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status)
