"""HTTP of the supervisor: what runs, the orders to start and to stop, the metrics, and the probe."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.clock import Clock
from controller.errors import ActuationError
from controller.http.bearer_token import is_shown
from controller.supervise.engine import Engine
from controller.supervise.fleet import Fleet, NoSuchEngine
from controller.supervise.metrics import exposition
from router.transport.loopback import is_loopback_address, is_loopback_host

log = logging.getLogger(__name__)


def build_app(fleet: Fleet, clock: Clock, token: str | None) -> web.Application:
    """The supervisor's application; `token` None answers this machine alone."""
    app = web.Application(middlewares=[guard(token)], client_max_size=1024)
    handlers = Handlers(fleet, clock)
    app.router.add_get("/instances", handlers.list)
    app.router.add_post("/instances/{instance_id}/start", handlers.start)
    app.router.add_post("/instances/{instance_id}/stop", handlers.stop)
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_get("/healthz", handlers.healthz)
    return app


def guard(token: str | None) -> Middleware:
    """Middleware that refuses whoever may not ask.

    Without a token, requests must come from this machine and name it as their host, and none may come from a web page,
    which a browser here could be made to send them by: browsers tell so in `Origin`.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = None if request.path == "/healthz" else _refusal(request, token)
        if refusal is None:
            return await handler(request)
        log.warning("request refused", extra={"peer": request.remote, "path": request.path, "reason": refusal})
        answer = _error(403 if token is None else 401, refusal)
        if token is not None:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    return middleware


class Handlers:
    """The supervisor's handlers."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock

    async def list(self, request: web.Request) -> web.Response:
        """Every engine."""
        now_s = self._clock.monotonic_s()
        return web.json_response([report(engine, now_s) for engine in self._fleet.engines])

    async def start(self, request: web.Request) -> web.Response:
        """Have an engine run; it is started in the background."""
        return self._order(request, wanted=True)

    async def stop(self, request: web.Request) -> web.Response:
        """Have it end; it is ended in the background."""
        return self._order(request, wanted=False)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        body = exposition(self._fleet.engines)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def healthz(self, request: web.Request) -> web.Response:
        """The supervisor lives, whatever the engines do."""
        return web.json_response({"status": "alive"})

    def _order(self, request: web.Request, *, wanted: bool) -> web.Response:
        try:
            engine = self._fleet.order(request.match_info["instance_id"], wanted=wanted)
        except NoSuchEngine as error:
            return _error(404, str(error))
        except ActuationError as error:
            return _error(409, str(error))
        return web.json_response(report(engine, self._clock.monotonic_s()))


def report(engine: Engine, now_s: float) -> dict[str, Any]:
    """One engine as `GET /instances` shows it; `now_s` is monotonic."""
    life, record = engine.life, engine.record
    return {
        "instance_id": engine.spec.instance_id,
        "pool": engine.spec.pool_id,
        "url": record.url if engine.holds else engine.spec.url,
        "gpu_uuids": list(record.gpu_uuids if engine.holds else engine.spec.gpu_uuids),
        "state": life.phase.value,
        "since_s": round(now_s - life.since_s, 3),
        "wanted": life.wanted,
        "pid": engine.pid,
        "is_healthy": engine.is_healthy if engine.spec.is_configured else None,
        "is_adopted": engine.process.is_adopted,
        "is_configured": engine.spec.is_configured,
        "is_changed": engine.is_changed,
        "restarts": record.restarts,
        "last_exit": record.last_exit or None,
        "fault": engine.fault or None,
        "log": str(engine.log.path),
        "log_fault": engine.log_fault or None,
        "log_tail": list(engine.last_words) if life.fault else [],
    }


def _refusal(request: web.Request, token: str | None) -> str | None:
    if token is not None:
        if is_shown(request.headers.get("Authorization", ""), token):
            return None
        return "a bearer token is needed; send the header 'Authorization: Bearer TOKEN'"
    if not is_loopback_address(request.remote):
        return "without a token only this machine is answered; set supervisor.token_file"
    if not is_loopback_host(request.host):
        return f"without a token the host must be 127.0.0.1 or localhost, not {request.host!r:.80}"
    if "Origin" in request.headers:
        return "without a token no web page is answered; set supervisor.token_file"
    return None


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)
