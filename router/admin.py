"""The admin port: metrics, health, state, samples, drain. Never reachable through the public one.

Whoever reaches it can read the addresses of the fleet and, without a token, take the router out of service: it is for
the operators' network only.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from router.drained import QUIET_S, wait_drained
from router.errors import SettingsError
from router.openai import error_body
from router.settings.process import LONGEST_DRAIN_S
from router.snapshot import Snapshot
from router.state_document import state_document

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SAMPLES = "/canary/samples"
"""Shows what clients have asked, so that it needs the token, too."""


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


def build(source: AdminSource, token_file: Path | None = None) -> web.Application:
    """The aiohttp application of the admin port.

    Args:
        source: what is told of and acted on.
        token_file: holds the token that POST requests and those for samples must bear; read at each, so that it may be
            replaced.

    Raises:
        SettingsError: the file cannot be read, or holds no token.
    """
    middlewares: list[Middleware] = [_errors_as_json]
    if token_file is not None:
        read_token(token_file)
        middlewares.append(_bearing(token_file))
    app = web.Application(middlewares=middlewares)
    admin = _Admin(source)
    app.add_routes(
        [
            web.get("/metrics", admin.metrics),
            web.get("/healthz", admin.healthz),
            web.get("/readyz", admin.readyz),
            web.get("/state", admin.state),
            web.get(SAMPLES, admin.samples),
            web.post("/drain", admin.drain),
            web.get("/drained", admin.drained),
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
        snapshot = await self._source.snapshot()
        if snapshot.untold:
            errors = {view.pool_id: view.error for view in snapshot.discovery if view.pool_id in snapshot.untold}
            return _json({"status": "no instances told yet", "pools": errors}, status=503)
        if not snapshot.ready:
            return _json({"status": "no usable instance"}, status=503)
        return _json({"status": "ready"})

    async def state(self, _request: web.Request) -> web.Response:
        return _json(state_document(await self._source.snapshot()))

    async def samples(self, _request: web.Request) -> web.Response:
        return _json({"samples": (await self._source.snapshot()).samples})

    async def drain(self, _request: web.Request) -> web.Response:
        self._source.drain()
        return _json({"status": "draining"}, status=202)

    async def drained(self, request: web.Request) -> web.Response:
        wait_s, quiet_s = _seconds(request, "wait_s", 0.0), _seconds(request, "quiet_s", QUIET_S)
        left = await wait_drained(self._source.snapshot, self._source.is_draining, wait_s, quiet_s)
        if left is None:
            return _json({"status": "drained"})
        status = "draining" if self._source.is_draining() else "serving"
        return _json({"status": status, "in_flight": left}, status=503)


def _seconds(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name, f"{default:g}")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST_DRAIN_S:
        raise web.HTTPBadRequest(reason=f"{name} is not between 0 and {LONGEST_DRAIN_S:g} seconds")
    return value


def read_token(file: Path) -> str:
    """The token in a file, without the white space around it.

    Raises:
        SettingsError: the file cannot be read, or holds no token.
    """
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"router.admin_token_file {file}: cannot be read: {reason}") from error
    if not token:
        raise SettingsError(f"router.admin_token_file {file}: holds no token; write one line into it")
    return token


def _bearing(file: Path) -> Middleware:
    """Let POST requests, and those for samples, through only with the file's token."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in _SAFE or request.path == SAMPLES:
            try:
                token = read_token(file)
            except SettingsError as error:
                raise web.HTTPServiceUnavailable(reason="the admin token cannot be read") from error
            presented = request.headers.get("Authorization", "")
            if not hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode()):
                raise web.HTTPUnauthorized(reason="Unauthorized", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPError as error:
        body = error_body(f"{request.method} {request.path}: {error.reason}", type_=error.reason, code=error.status)
        kept = {name: error.headers[name] for name in ("Allow", "WWW-Authenticate") if name in error.headers}
        return web.Response(body=body, status=error.status, content_type="application/json", headers=kept)


def _json(document: object, *, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")
