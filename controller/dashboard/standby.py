"""The API of a controller among several: a standby answers questions and takes no orders, a leader hands orders on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from controller.dashboard.access import error_response
from controller.loop.leadership import LeadershipStatus, Role

log = logging.getLogger(__name__)

SHARED_HEADER = "x-wattroute-handed-over"
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def orders_to_the_leader(
    status: Callable[[], LeadershipStatus | None], share: Callable[[], Awaitable[bool]]
) -> Middleware:
    """Middleware that refuses changing requests on a standby, and shares on a leader what they have changed.

    Args:
        status: who leads; None where there is no election.
        share: leaves what was asked to the next leader; whether that was done.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        told = status()
        if told is None or request.method in _SAFE_METHODS:
            return await handler(request)
        if told.role is not Role.LEADER:
            response = error_response(503, refusal_of(told), "standby")
            response.headers["Retry-After"] = "5"
            return response
        answer = await handler(request)
        if answer.status < 400:
            is_shared = await share()
            answer.headers[SHARED_HEADER] = "yes" if is_shared else "no"
            if not is_shared:
                log.error("taken in, but not handed over: it would not outlast this controller's lead")
        return answer

    return middleware


def refusal_of(status: LeadershipStatus) -> str:
    """Why a standby takes no orders, and where they go."""
    if status.leader is None or status.leader == status.identity:
        return "this controller stands by, and none leads yet; try again in some seconds"
    where = "" if status.address is None else f" at {status.address}"
    return f"this controller stands by; the leader is {status.leader}{where}: send the request there"
