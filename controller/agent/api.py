"""HTTP of the agent: the sample, the stream, the metrics, and the two probes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.agent.hub import Hub, TooManyFollowers
from controller.agent.identity import Identity
from controller.agent.metrics import exposition
from controller.agent.samples import unready
from controller.clock import Clock
from controller.http.bearer_token import is_shown
from controller.signals.power.agent_sample import PATH, STREAM_PATH, encode
from controller.signals.power.nvml_reader import NvmlSnapshot
from router.transport.loopback import is_loopback_host

log = logging.getLogger(__name__)

_OPEN_PATHS = ("/healthz", "/readyz")
"""Probes carry no token, and these say nothing of power."""
_WRITE_TIMEOUT_S = 5.0
_RETRY_S = "10"


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What the handlers show.

    Attributes:
        snapshot: gives the last snapshot at once.
        identity: tells the token that readers show now.
    """

    hub: Hub
    snapshot: Callable[[], NvmlSnapshot]
    node: str
    clock: Clock
    identity: Identity
    dcgm_names: bool = False


def build_app(parts: AgentParts) -> web.Application:
    """The agent's application."""
    app = web.Application(middlewares=[guard(parts.identity)], client_max_size=1024)
    Handlers(parts).add_to(app)

    async def end_streams(_: web.Application) -> None:
        parts.hub.close()

    app.on_shutdown.append(end_streams)
    return app


def guard(identity: Identity) -> Middleware:
    """Middleware that lets only those read who may.

    Without a token the agent listens on this machine's own addresses; a web page that resolves its own name to them
    would still reach it through a browser here, hence the look at the host.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN_PATHS:
            return await handler(request)
        token = identity.token
        if token is None:
            if not is_loopback_host(request.host):
                return _error(403, f"without a token the host must be 127.0.0.1 or localhost, not {request.host!r:.80}")
            return await handler(request)
        if is_shown(request.headers.get("Authorization", ""), token):
            return await handler(request)
        log.warning("request refused", extra={"peer": request.remote, "path": request.path})
        refusal = _error(401, "a bearer token is needed; send the header 'Authorization: Bearer TOKEN'")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal

    return middleware


class Handlers:
    """The agent's handlers."""

    def __init__(self, parts: AgentParts) -> None:
        self._parts = parts

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get(PATH, self.sample)
        app.router.add_get(STREAM_PATH, self.stream)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)

    async def sample(self, request: web.Request) -> web.Response:
        """The latest sample; 503 before the first one."""
        latest = self._parts.hub.latest
        if latest is None:
            return _error(503, "NVML was not read yet; try again in a second")
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=encode(latest), content_type="application/json", headers=headers)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Samples as server-sent events; who does not read is cut off, and a stream ends with the token it showed."""
        hub, identity = self._parts.hub, self._parts.identity
        token = identity.token
        events = hub.follow()
        try:
            event = await anext(events, None)
        except TooManyFollowers:
            refusal = _error(503, "too many streams; close some, or raise --max-streams")
            refusal.headers["Retry-After"] = _RETRY_S
            return refusal
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        try:
            await response.prepare(request)
            while event is not None and identity.token == token:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await response.write(event)
                event = await anext(events, None)
        except TimeoutError:
            hub.cut_off += 1
            log.warning("a stream is cut off as its reader does not read", extra={"peer": request.remote})
            _abort(request)
        except ConnectionError:  # the reader is gone
            _abort(request)
        finally:
            await events.aclose()
        return response

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        parts = self._parts
        body = exposition(
            parts.snapshot(),
            parts.hub,
            parts.identity,
            node=parts.node,
            now_s=parts.clock.wall_s(),
            dcgm_names=parts.dcgm_names,
        )
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def healthz(self, request: web.Request) -> web.Response:
        """503 where only a new process can read NVML again."""
        snapshot = self._parts.snapshot()
        if snapshot.needs_restart:
            return _error(503, "; ".join(fault.reason for fault in snapshot.faults))
        return web.json_response({"status": "alive"})

    async def readyz(self, request: web.Request) -> web.Response:
        """503 with the reason while no GPU has a fresh reading."""
        reason = unready(self._parts.hub.latest)
        return web.json_response({"status": "ready"}) if reason is None else _error(503, reason)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)
