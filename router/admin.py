"""The admin port: /metrics, /healthz, /readyz, /state and /drain. Never reachable through the public port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from aiohttp import web

from router.openai import error_body
from router.snapshot import Snapshot, state_document


class AdminSource(Protocol):
    """What the admin port tells of and acts on: one worker, or all of them together."""

    async def snapshot(self) -> Snapshot:
        """The state now, summed over workers."""

    def is_draining(self) -> bool:
        """Whether the router is going out of service."""

    def drain(self) -> None:
        """Report not ready, close connections after their answers, end what is left after the drain time.

        Harmless when repeated.
        """


def build(source: AdminSource) -> web.Application:
    """The aiohttp application of the admin port."""
    app = web.Application(middlewares=[_errors_as_json])
    admin = _Admin(source)
    app.add_routes(
        [
            web.get("/metrics", admin.metrics),
            web.get("/healthz", admin.healthz),
            web.get("/readyz", admin.readyz),
            web.get("/state", admin.state),
            web.post("/drain", admin.drain),
        ]
    )
    return app


class _Admin:
    def __init__(self, source: AdminSource) -> None:
        self._source = source

    async def metrics(self, request: web.Request) -> web.Response:
        # The exposition's library is first needed, and loaded, when someone scrapes.
        from router.metrics import expose

        body, content_type = expose(await self._source.snapshot(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def healthz(self, _request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        if self._source.is_draining():
            return _json({"status": "draining"}, status=503)
        if not (await self._source.snapshot()).ready:
            return _json({"status": "no usable instance"}, status=503)
        return _json({"status": "ready"})

    async def state(self, _request: web.Request) -> web.Response:
        return _json(state_document(await self._source.snapshot()))

    async def drain(self, _request: web.Request) -> web.Response:
        self._source.drain()
        return _json({"status": "draining"}, status=202)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPError as error:
        body = error_body(f"{request.method} {request.path}: {error.reason}", type_=error.reason, code=error.status)
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return web.Response(body=body, status=error.status, content_type="application/json", headers=allow)


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
