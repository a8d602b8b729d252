"""The API of derates: have less offered than could be shed, see what is so, and end it."""

from __future__ import annotations

from aiohttp import web

from controller.clock import Clock
from controller.dashboard.access import error_response
from controller.dashboard.derate_json import derate_json
from controller.dashboard.derate_request import read_derate
from controller.dashboard.events_api import body_of, refused
from controller.errors import CallRefused
from controller.signals.derates import DerateBook


class DeratesApi:
    """Handlers of /v1/derates."""

    def __init__(self, book: DerateBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/v1/derates", self.list)
        app.router.add_post("/v1/derates", self.add)
        app.router.add_delete("/v1/derates/{derate_id}", self.end)

    async def list(self, request: web.Request) -> web.Response:
        """Those that are in force or to come."""
        now_s = self._clock.wall_s()
        return web.json_response({"derates": [derate_json(each, now_s) for each in self._book.current(now_s)]})

    async def add(self, request: web.Request) -> web.Response:
        """Take in one: 201 with it."""
        try:
            data = await body_of(request)
            now_s = self._clock.wall_s()
            derate = read_derate(data, {each.derate_id for each in self._book.current(now_s)}, now_s)
            self._book.add(derate, now_s)
        except CallRefused as error:
            return refused(error)
        return web.json_response(derate_json(derate, now_s), status=201)

    async def end(self, request: web.Request) -> web.Response:
        """End one before its time."""
        now_s, derate_id = self._clock.wall_s(), request.match_info["derate_id"]
        derate = self._book.end(derate_id, now_s)
        if derate is None:
            return error_response(
                404, f"no derate {derate_id!r:.80} is in force or to come; GET /v1/derates lists them"
            )
        return web.json_response({**derate_json(derate, now_s), "state": "ended"})
