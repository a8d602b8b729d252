"""The API of webhooks: who is told when the site's power goes down to a limit and comes back up."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web

from controller.actuators.webhooks import Hook, Webhooks
from controller.dashboard.access import error_response
from controller.dashboard.event_request import refuse_strangers
from controller.dashboard.events_api import body_of, refused
from controller.errors import CallRefused

URL = "/v1/load-target/webhooks"


class Registry(Protocol):
    """Where receivers are registered."""

    webhooks: Webhooks

    def register(self, url: str, token: str | None) -> Hook:
        """Send to this address; raises `CallRefused` and `StoreError`."""

    async def remove(self, hook_id: str) -> Hook | None:
        """Send to it no more; None where there is none."""


class WebhooksApi:
    """Handlers of /v1/load-target/webhooks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get(URL, self.list)
        app.router.add_post(URL, self.add)
        app.router.add_delete(URL + "/{webhook_id}", self.remove)

    async def list(self, request: web.Request) -> web.Response:
        """Those registered; of their addresses the origin, which is no secret."""
        return web.json_response({"webhooks": [self._told(hook) for hook in self._registry.webhooks.hooks]})

    async def add(self, request: web.Request) -> web.Response:
        """Register an address: 201 with its id."""
        try:
            data = await body_of(request)
            refuse_strangers(data, frozenset(("url", "token")), "")
            url, token = data.get("url"), data.get("token")
            if not isinstance(url, str) or not isinstance(token, str | None):
                raise CallRefused('write the body as {"url": "https://...", "token": "TEXT"}; token may be left out')
            hook = self._registry.register(url, token)
        except CallRefused as error:
            return refused(error)
        return web.json_response(self._told(hook), status=201, headers={"Location": f"{URL}/{hook.hook_id}"})

    async def remove(self, request: web.Request) -> web.Response:
        """Send to an address no more."""
        hook_id = request.match_info["webhook_id"]
        hook = await self._registry.remove(hook_id)
        if hook is None:
            return error_response(404, f"no webhook {hook_id!r:.80}; GET {URL} lists them")
        return web.json_response({"webhook_id": hook.hook_id, "origin": hook.origin})

    def _told(self, hook: Hook) -> dict[str, Any]:
        state = self._registry.webhooks.state(hook.hook_id)
        return {
            "webhook_id": hook.hook_id,
            "origin": hook.origin,
            "created_s": hook.created_s,
            "has_token": hook.token is not None,
            "pending": state.pending,
            "delivered": state.delivered,
            "last": None if state.last is None else state.last.value,
            "last_s": state.last_s,
        }
