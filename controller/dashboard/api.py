"""The controller's HTTP API beside the page: allocation, events, health and metrics."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST

from controller.actuators.allocation_http import AllocationBoard
from controller.actuators.loads_board import LoadsBoard
from controller.actuators.rates_board import RatesBoard
from controller.clock import Clock
from controller.dashboard import openapi
from controller.dashboard.access import error_response
from controller.dashboard.capability_json import capability_json
from controller.dashboard.derates_api import DeratesApi
from controller.dashboard.events_api import EventsApi, EventsParts
from controller.dashboard.load_target_api import LoadTargetApi, LoadTargetParts
from controller.dashboard.webhooks_api import Registry, WebhooksApi
from controller.errors import StoreError
from controller.loop.runner import Runner
from controller.metrics.telemetry import Telemetry
from controller.model.call import OPERATOR
from controller.model.capability import Capability
from controller.model.observation import Reading
from controller.signals.calls import CallBook
from controller.signals.derates import DerateBook
from controller.signals.quality_book import BarRefused, QualityBook

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 64 << 10
MAX_WAIT_S = 2.0
"""Longest time for which a question for the next table is held: no longer than a controller that ends waits for it."""
_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")
STALLED_AFTER_S = 30.0
"""Without a reading for this long the loop counts as stalled."""


@dataclass(frozen=True, slots=True)
class Facility:
    """The site as the API tells it.

    Attributes:
        standing_limit_w: its own limit, None for none.
        load_target_programme: whose terms hold for load targets.
    """

    name: str = "site"
    standing_limit_w: float | None = None
    load_target_programme: str = OPERATOR


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What the API speaks for.

    Attributes:
        capability: what can be shed, None where that is not known.
        derates: when less of it is offered; None where that cannot be chosen.
    """

    allocation: AllocationBoard
    rates: RatesBoard
    loads: LoadsBoard
    calls: CallBook
    runner: Runner
    telemetry: Telemetry
    clock: Clock
    quality: QualityBook
    facility: Facility = Facility()
    ramps: Registry | None = None
    capability: Callable[[], Capability | None] = lambda: None
    derates: DerateBook | None = None


class Api:
    """Handlers of /v1, /healthz, /readyz and /metrics."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._began_s = parts.clock.wall_s()
        self._events = EventsApi(
            EventsParts(parts.calls, parts.clock, parts.runner.hasten, self._present_w, parts.capability)
        )
        facility = parts.facility
        self._load_target = LoadTargetApi(
            LoadTargetParts(
                parts.calls,
                parts.clock,
                parts.runner.hasten,
                self._present_w,
                site=facility.name,
                programme=facility.load_target_programme,
                standing_limit_w=facility.standing_limit_w,
            )
        )

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/v1/allocation", self.allocation)
        app.router.add_get("/v1/energy-rates", self.energy_rates)
        app.router.add_get("/v1/engine-loads", self.engine_loads)
        self._events.add_to(app)
        self._load_target.add_to(app)
        if self._parts.ramps is not None:
            WebhooksApi(self._parts.ramps).add_to(app)
        if self._parts.derates is not None:
            DeratesApi(self._parts.derates, self._parts.clock).add_to(app)
        app.router.add_get("/v1/site", self.site)
        app.router.add_get("/v1/capability", self.capability)
        app.router.add_get("/v1/quality", self.quality)
        app.router.add_post("/v1/quality/barred/{name}", self.bar)
        app.router.add_delete("/v1/quality/barred/{name}", self.lift)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/openapi.json", self.openapi)

    async def allocation(self, request: web.Request) -> web.Response:
        """The table in force; 304 for one the caller has, 503 while there is none.

        A caller that has it, or to whom none can be given, and prefers to wait (RFC 7240) is answered as soon as there
        is another.
        """
        board, known = self._parts.allocation, _known_tags(request)
        published = board.current(self._parts.clock.wall_s())
        wait_s = _preferred_wait_s(request) if published is None or published.etag in known else None
        if wait_s is not None:
            await board.changed(wait_s)
            published = board.current(self._parts.clock.wall_s())
        if published is None:
            response = error_response(
                503, "there is no valid allocation table; use the static weights", "no_allocation"
            )
            response.headers["Retry-After"] = "1"
            return response
        headers = {"ETag": published.etag, "Cache-Control": "no-cache"}
        if wait_s is not None:
            headers["Preference-Applied"] = f"wait={wait_s:g}"
        if published.etag in known:
            return web.Response(status=304, headers=headers)
        return web.Response(body=published.body, content_type="application/json", headers=headers)

    async def energy_rates(self, request: web.Request) -> web.Response:
        """What a token costs on each instance now; 304 for rates the caller has, 503 while none are known."""
        posted = self._parts.rates.current(self._parts.clock.wall_s())
        if posted is None:
            return error_response(503, "no energy rates are known now", "no_rates")
        headers = {"ETag": posted.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == posted.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=posted.body, content_type="application/json", headers=headers)

    async def engine_loads(self, request: web.Request) -> web.Response:
        """What was last read of each engine; 304 for loads the caller has, 503 before the first ones."""
        posted = self._parts.loads.current
        if posted is None:
            return error_response(503, "no engine has been read yet", "no_loads")
        headers = {"ETag": posted.etag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == posted.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=posted.body, content_type="application/json", headers=headers)

    async def site(self, request: web.Request) -> web.Response:
        """Whose controller this is, so that a call does not reach another site's."""
        return web.json_response({"site": self._parts.facility.name, "measured_w": self._present_w()})

    async def capability(self, request: web.Request) -> web.Response:
        """What can be shed, how soon, for how long and at what cost; without offers, and why, where it is not known."""
        return web.json_response(capability_json(self._parts.capability()))

    async def quality(self, request: web.Request) -> web.Response:
        """What canaries tell of each pool, and who is barred."""
        return web.json_response(dataclasses.asdict(self._parts.quality.report()))

    async def bar(self, request: web.Request) -> web.Response:
        """Bar a pool or an instance until that is lifted; 201 with the bar. The body may give a reason."""
        try:
            data = json.loads(await request.read() or b"{}")
        except (ValueError, RecursionError) as error:
            return error_response(400, f"the body is not JSON: {error}")
        reason = data.get("reason", "no reason given") if isinstance(data, dict) else None
        if not isinstance(reason, str):
            return error_response(400, 'write the body as {"reason": "TEXT"}, or leave it out')
        try:
            barred = self._parts.quality.bar(request.match_info["name"], reason, self._parts.clock.wall_s())
        except BarRefused as error:
            return error_response(409 if error.is_conflict else 404, str(error))
        self._changed()
        return web.json_response(dataclasses.asdict(barred), status=201)

    async def lift(self, request: web.Request) -> web.Response:
        """Let a barred pool or instance serve again."""
        name = request.match_info["name"]
        barred = self._parts.quality.lift(name, self._parts.clock.wall_s())
        if barred is None:
            return error_response(404, f"{name!r:.80} is not barred; GET /v1/quality lists what is")
        self._changed()
        return web.json_response(dataclasses.asdict(barred))

    def _present_w(self) -> float | None:
        status = self._parts.runner.status
        power = None if status is None else status.observation.site_power
        return power.value_w if isinstance(power, Reading) else None

    def _changed(self) -> None:
        self._parts.telemetry.canaries.take(self._parts.quality.report())
        self._parts.runner.hasten()

    async def healthz(self, request: web.Request) -> web.Response:
        """200 while the loop reads; 503 once it has stalled."""
        status = self._parts.runner.status
        read_s = self._began_s if status is None else status.observation.now_s
        age_s = self._parts.clock.wall_s() - read_s
        if age_s > STALLED_AFTER_S:
            return error_response(503, f"the loop has read nothing for {age_s:.0f} s", "stalled")
        return web.json_response({"status": "ok", "age_s": age_s})

    async def readyz(self, request: web.Request) -> web.Response:
        """200 once a decision was made."""
        if not self._parts.runner.is_ready:
            return error_response(503, "no decision has been made yet", "not_ready")
        return web.json_response({"status": "ready"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        return web.Response(body=self._parts.telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: web.Request) -> web.Response:
        """What all of this is, for machines."""
        return web.json_response(openapi.document())


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error a JSON body that says what is wrong."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = error.text or error.reason
        if error.status == 413:
            message = f"the body is larger than {MAX_BODY_BYTES} bytes"
        return error_response(error.status, message)
    except StoreError as error:
        log.error("request failed", extra={"path": request.path, "reason": str(error)})
        return error_response(503, str(error), "store_error")


def _known_tags(request: web.Request) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]


def _preferred_wait_s(request: web.Request) -> float | None:
    """How long the caller would wait for another document, bounded; None where it would not."""
    found = _WAIT.search(request.headers.get("Prefer", ""))
    return None if found is None else min(float(found[1]), MAX_WAIT_S)
