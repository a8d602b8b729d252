"""The API of load targets: what a facility's power manager lets the site draw, now and by schedule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from controller.clock import Clock
from controller.dashboard.access import error_response
from controller.dashboard.event_json import in_part_json
from controller.dashboard.events_api import body_of, refused
from controller.dashboard.load_target_request import read_schedule, read_target
from controller.errors import CallRefused
from controller.grid import load_target as targets
from controller.grid.load_target import CALL_ID, MAX_TARGETS, SOURCE, Schedule, Target
from controller.grid.site_limit import Stretch, site_limit
from controller.model.call import OPERATOR
from controller.model.programme import Programme
from controller.signals.call_views import CallView
from controller.signals.calls import CallBook

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoadTargetParts:
    """What the API of load targets speaks for.

    Attributes:
        on_change: has the loop decide at once.
        present_w: what the site draws now, None where that is not known.
        programme: whose terms hold for targets.
        standing_limit_w: the site's own limit, which is the default; None for none.
    """

    calls: CallBook
    clock: Clock
    on_change: Callable[[], None]
    present_w: Callable[[], float | None]
    site: str
    programme: str = OPERATOR
    standing_limit_w: float | None = None


class LoadTargetApi:
    """Handlers of /v1/load-target.

    Each change is read from the body first and made at once after it, so that of two that race the later one is put
    over the earlier one, and none is lost.
    """

    def __init__(self, parts: LoadTargetParts) -> None:
        self._parts = parts
        self._tried_s = 0.0

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/v1/load-target", self.show)
        app.router.add_put("/v1/load-target", self.put)
        app.router.add_delete("/v1/load-target", self.clear)
        app.router.add_get("/v1/load-target/schedule", self.schedule)
        app.router.add_put("/v1/load-target/schedule", self.replace)
        app.router.add_get("/v1/load-target/metadata", self.metadata)

    async def show(self, request: web.Request) -> web.Response:
        """The target in force, the next one, and how the site stands to it."""
        return self._told(self._parts.clock.wall_s())

    async def put(self, request: web.Request) -> web.Response:
        """Put a target over what it covers."""
        return await self._change(
            request,
            lambda data, held, now_s: targets.spliced(held, read_target(data, now_s), now_s),
            self._told,
        )

    async def replace(self, request: web.Request) -> web.Response:
        """Put a schedule in place of the one held."""
        return await self._change(
            request,
            lambda data, held, now_s: targets.replaced(held, read_schedule(data, now_s), now_s),
            self._schedule_told,
        )

    async def clear(self, request: web.Request) -> web.Response:
        """Take every target away."""
        now_s = self._parts.clock.wall_s()
        return self._stale(request) or self._take((), now_s, "") or self._told(now_s)

    async def schedule(self, request: web.Request) -> web.Response:
        """The targets in force and to come."""
        return self._schedule_told(self._parts.clock.wall_s())

    async def metadata(self, request: web.Request) -> web.Response:
        """What may be set, on which terms, and what holds now."""
        parts, now_s = self._parts, self._parts.clock.wall_s()
        terms = self._terms()
        told = {
            "site": parts.site,
            "programme": parts.programme,
            "least_w": terms.least_w,
            "most_w": terms.most_w,
            "default_w": parts.standing_limit_w,
            "ramp_s": terms.ramp_s,
            "restore_w_per_s": terms.restore_w_per_s,
            "precedence": terms.precedence.value,
            "changes_per_min": terms.changes_per_min,
            "max_targets": MAX_TARGETS,
        }
        return web.json_response({**told, **self._holds(now_s)})

    async def _change(
        self,
        request: web.Request,
        changed: Callable[[Any, Schedule, float], Schedule],
        told: Callable[[float], web.Response],
    ) -> web.Response:
        try:
            data = await body_of(request)
            now_s = self._parts.clock.wall_s()  # the body may have taken long to come
            stale = self._stale(request)
            if stale is not None:
                return stale
            schedule = changed(data, self._held(now_s), now_s)
        except CallRefused as error:
            return refused(error)
        except ValueError as error:
            return error_response(400, str(error))
        return self._take(schedule, now_s, json.dumps(data)) or told(now_s)

    def _take(self, schedule: Schedule, now_s: float, raw: str) -> web.Response | None:
        """Have the book follow a schedule; an answer where it does not."""
        book, view = self._parts.calls, self._view(now_s)
        if schedule == self._held(now_s):
            return None
        before_s = 0.0 if view is None else view.call.modified_s
        modified_s = self._tried_s = targets.later_than(max(before_s, self._tried_s), now_s)
        try:
            call = targets.as_call(schedule, self._parts.programme, now_s, modified_s)
            if call is None:
                book.cancel(SOURCE, CALL_ID, now_s, modified_s=modified_s, reason="no target is left")
            else:
                book.submit(call, now_s, raw=raw)
        except CallRefused as error:
            return refused(error)
        except ValueError as error:
            return error_response(400, str(error))
        self._parts.on_change()
        return None

    def _stale(self, request: web.Request) -> web.Response | None:
        """The answer to a change of what is not held any more (RFC 9110 §13.1.1); None where it may be made."""
        wanted = request.headers.get("If-Match")
        if wanted is None or wanted.strip() == "*":
            return None
        held = self._tag(self._parts.clock.wall_s())
        if held in [tag.strip() for tag in wanted.split(",")]:
            return None
        return error_response(412, f"the targets were changed since: they are {held} now; read them again")

    def _view(self, now_s: float) -> CallView | None:
        views = self._parts.calls.calls(now_s)
        return next((view for view in views if (view.call.source, view.call.call_id) == (SOURCE, CALL_ID)), None)

    def _held(self, now_s: float) -> Schedule:
        view = self._view(now_s)
        return () if view is None else targets.schedule_of(view.call, view.state, now_s, view.courses_s)

    def _tag(self, now_s: float) -> str:
        view = self._view(now_s)
        return '"none"' if view is None else f'"{view.call.modified_s!r}"'

    def _terms(self) -> Programme:
        return self._parts.calls.programmes.get(self._parts.programme) or Programme(self._parts.programme)

    def _holds(self, now_s: float) -> Json:
        """How the site stands, and the limit that holds, which may be another's."""
        parts, view = self._parts, self._view(now_s)
        present_w, opted_out = parts.present_w(), None if view is None else view.call.opted_out
        target = targets.current(self._held(now_s), now_s)
        in_part, ramp_s = None if view is None else in_part_json(view), self._terms().ramp_s
        floor_w, is_out = 0.0 if in_part is None else in_part["down_to_w"], opted_out is not None
        status = targets.following(target, present_w, ramp_s, now_s, is_opted_out=is_out, floor_w=floor_w)
        limit = site_limit(parts.calls.current(now_s), parts.standing_limit_w, now_s, now_s + 1.0).at(now_s)
        return {
            "status": status.value,
            "opted_out": opted_out,
            "in_part": in_part,
            "present_w": present_w,
            "limit_w": None if limit is None else limit.limit_w,
            "limit_of": _owner(limit),
        }

    def _told(self, now_s: float) -> web.Response:
        schedule = self._held(now_s)
        target, then = targets.current(schedule, now_s), targets.upcoming(schedule, now_s)
        told = {"target": target_json(target), "next": target_json(then), **self._holds(now_s)}
        return web.json_response(told, headers={"ETag": self._tag(now_s)})

    def _schedule_told(self, now_s: float) -> web.Response:
        told = {"targets": [target_json(target) for target in self._held(now_s)]}
        return web.json_response(told, headers={"ETag": self._tag(now_s)})


def target_json(target: Target | None) -> Json | None:
    """A target as it is told; an end of null is none."""
    if target is None:
        return None
    return {
        "target_w": target.value_w,
        "start_s": target.start_s,
        "end_s": targets.end_of(target.end_s),
        "correlation_id": target.correlation_id,
    }


def _owner(limit: Stretch | None) -> Json | None:
    """Whose limit holds; the site's own has no event."""
    if limit is None or limit.limit_w is None:
        return None
    event = limit.event
    if event is None:
        return {"source": "site", "event_id": None, "programme": None}
    return {"source": event.source, "event_id": event.event_id, "programme": event.programme}
