"""The API of calls to curtail: enter, look up, end, and opt out of what others asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controller.clock import Clock
from controller.dashboard.access import error_response
from controller.dashboard.capability_json import achievable_json
from controller.dashboard.event_json import call_json
from controller.dashboard.event_request import (
    EventRequest,
    chosen_id,
    read_opt_out,
    read_request,
    refuse_what_binds_nothing,
)
from controller.errors import CallRefused
from controller.model.call import OPERATOR, Call
from controller.model.capability import Capability
from controller.signals.call_views import CallView
from controller.signals.calls import CallBook


@dataclass(frozen=True, slots=True)
class EventsParts:
    """What the API of events speaks for.

    Attributes:
        on_change: has the loop decide at once.
        present_w: what the site draws now, None where that is not known.
        capability: what can be shed, None where that is not known.
    """

    calls: CallBook
    clock: Clock
    on_change: Callable[[], None]
    present_w: Callable[[], float | None]
    capability: Callable[[], Capability | None] = lambda: None


class EventsApi:
    """Handlers of /v1/events."""

    def __init__(self, parts: EventsParts) -> None:
        self._parts = parts

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/v1/events", self.list)
        app.router.add_post("/v1/events", self.add)
        app.router.add_get("/v1/events/{event_id}", self.show)
        app.router.add_delete("/v1/events/{event_id}", self.cancel)
        app.router.add_post("/v1/events/{event_id}/opt-out", self.opt_out)
        app.router.add_post("/v1/events/{event_id}/opt-in", self.opt_in)

    async def list(self, request: web.Request) -> web.Response:
        """Calls pending, active, or ended within the last hour, of every source or of one."""
        now_s, source = self._parts.clock.wall_s(), request.query.get("source")
        views = [view for view in self._parts.calls.calls(now_s) if source in (None, view.call.source)]
        return web.json_response({"events": [call_json(view, now_s) for view in views]})

    async def show(self, request: web.Request) -> web.Response:
        """One call."""
        now_s = self._parts.clock.wall_s()
        found = self._find(request, now_s)
        return found if isinstance(found, web.Response) else web.json_response(call_json(found, now_s))

    async def add(self, request: web.Request) -> web.Response:
        """Take in a call to curtail: 201 with it; 200 with what would hold where it is a dry run."""
        now_s, book = self._parts.clock.wall_s(), self._parts.calls
        try:
            data = await body_of(request)
            wanted = read_request(data)
            event_id = chosen_id(wanted, book.calls(now_s), now_s)
            call = _call(wanted, event_id, now_s)
            refuse_what_binds_nothing(call, book.programmes.get(call.programme))
            if wanted.dry_run:
                view = book.preview(call, now_s)
                within = achievable_json(self._parts.capability(), view.events, now_s)
                told = {**call_json(view, now_s), "present_w": self._parts.present_w(), **within}
                return web.json_response({**told, "dry_run": True})
            book.submit(call, now_s, raw=json.dumps(data))
        except CallRefused as error:
            return refused(error)
        self._parts.on_change()
        told = self._told(OPERATOR, event_id, now_s)
        return web.json_response(told, status=201, headers={"Location": f"/v1/events/{event_id}"})

    async def cancel(self, request: web.Request) -> web.Response:
        """End a call now; one of another source than the operators is ended here alone, until its sender changes it."""
        now_s = self._parts.clock.wall_s()
        found = self._find(request, now_s)
        if isinstance(found, web.Response):
            return found
        source, event_id = found.call.source, found.call.call_id
        if source != OPERATOR:
            return error_response(
                409, f"event {event_id!r:.80} is {source}'s, who alone can cancel it; opt out of it instead"
            )
        if self._parts.calls.cancel(source, event_id, now_s) is None:
            return _over(event_id)
        return self._changed(source, event_id, now_s)

    async def opt_out(self, request: web.Request) -> web.Response:
        """Do not follow a call any more, or no lower than a power; the body says why."""
        book = self._parts.calls
        try:
            wanted = read_opt_out(await body_of(request))
            floor_w, reason = wanted.down_to_w, wanted.reason
            if floor_w is None:
                return self._opted(request, lambda source, key, now_s: book.opt_out(source, key, reason, now_s))
            return self._opted(
                request, lambda source, key, now_s: book.follow_in_part(source, key, floor_w, reason, now_s)
            )
        except CallRefused as error:
            return refused(error)

    async def opt_in(self, request: web.Request) -> web.Response:
        """Follow a call again, and all of it."""
        return self._opted(request, self._parts.calls.opt_in)

    def _opted(self, request: web.Request, change: Callable[[str, str, float], Call | None]) -> web.Response:
        now_s = self._parts.clock.wall_s()
        found = self._find(request, now_s)
        if isinstance(found, web.Response):
            return found
        source, event_id = found.call.source, found.call.call_id
        if change(source, event_id, now_s) is None:
            return _over(event_id)
        return self._changed(source, event_id, now_s)

    def _find(self, request: web.Request, now_s: float) -> CallView | web.Response:
        """The call of that id; an answer that says why where there is none, or several."""
        event_id, source = request.match_info["event_id"], request.query.get("source")
        views = [view for view in self._parts.calls.calls(now_s) if view.call.call_id == event_id]
        named = [view for view in views if source in (None, view.call.source)]
        if not named:
            return error_response(404, f"no event {event_id!r:.80}; GET /v1/events lists them")
        if len(named) > 1:
            sources = ", ".join(sorted(view.call.source for view in named))
            return error_response(409, f"event {event_id!r:.80} has several sources: {sources}; add ?source=NAME")
        return named[0]

    def _changed(self, source: str, event_id: str, now_s: float) -> web.Response:
        self._parts.on_change()
        return web.json_response(self._told(source, event_id, now_s))

    def _told(self, source: str, event_id: str, now_s: float) -> dict[str, Any]:
        views = self._parts.calls.calls(now_s)
        return call_json(next(v for v in views if (v.call.source, v.call.call_id) == (source, event_id)), now_s)


async def body_of(request: web.Request) -> Any:
    """The body's JSON.

    Raises:
        CallRefused: it is none.
        web.HTTPUnsupportedMediaType: it is not said to be JSON.
    """
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send the body as Content-Type: application/json")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise CallRefused(f"the body is not JSON: {error}") from error


def refused(error: CallRefused) -> web.Response:
    """The answer to what is not taken in."""
    return error_response(409 if error.is_conflict else 400, str(error))


def _over(event_id: str) -> web.Response:
    return error_response(404, f"event {event_id!r:.80} is over; GET /v1/events lists what goes on")


def _call(wanted: EventRequest, event_id: str, now_s: float) -> Call:
    try:
        return wanted.call(event_id, now_s)
    except ValueError as error:
        raise CallRefused(str(error)) from error
