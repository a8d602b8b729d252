"""A watch: changes from a version on, as lines of JSON, until its time is over."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.kube.faults import reset
from tests.fakes.kube.kinds import Resource
from tests.fakes.kube.refusals import Refusal, too_old
from tests.fakes.kube.selecting import Matches, selector
from tests.fakes.kube.store import Change, Object, Store

DEFAULT_TIMEOUT_S = 1800.0
LAST_BOOKMARK_S = 0.2
"""Before its time is over a watch that wants bookmarks is told the version; a real server does that 2 s before."""


@dataclass(eq=False)
class Watch:
    """One open watch, which a test can freeze, cut or let expire."""

    request: web.Request
    resource: Resource
    store: Store
    namespace: str | None
    matches: Matches
    position: int
    bookmark_every_s: float | None
    frozen: bool = False
    error: Refusal | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        reset(self.request)

    def expire(self) -> None:
        """End it by the event of a server that has forgotten the version."""
        self.error = too_old(self.position)
        self._woken.set()

    async def serve(self, response: web.StreamResponse, timeout_s: float, start: list[Object]) -> None:
        self.store.changed.add(self._woken)
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        last_s = end_s - min(LAST_BOOKMARK_S, timeout_s / 2)
        try:
            for found in start:
                await _send(response, "ADDED", found)
            while (now_s := loop.time()) < end_s:
                if self.frozen:
                    await asyncio.Event().wait()
                if self.error is not None:
                    await _send(response, "ERROR", self.error.body)
                    return
                await self._send_changes(response)
                wait_s = (last_s if now_s < last_s else end_s) - now_s
                if self.bookmark_every_s is not None:
                    wait_s = min(wait_s, self.bookmark_every_s)
                if not await self._wait(wait_s) and self.bookmark_every_s is not None:
                    await _send(response, "BOOKMARK", self._bookmark())
        finally:
            self.store.changed.discard(self._woken)

    async def _wait(self, timeout_s: float) -> bool:
        """Whether something changed in that time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def _send_changes(self, response: web.StreamResponse) -> None:
        for change in [change for change in self.store.history if change.version > self.position]:
            event = self._event_of(change)
            if event is not None:
                await _send(response, *event)
        self.position = max(self.position, self.store.version)

    def _event_of(self, change: Change) -> tuple[str, Object] | None:
        """What the change is to this watch: an object that comes to match is new to it, one that ceases to is gone."""
        was, is_ = self._wants(change, change.old), self._wants(change, change.new)
        if is_:
            return ("MODIFIED" if was else "ADDED"), change.new or {}
        if not was:
            return None
        gone = change.old or {}
        return "DELETED", {**gone, "metadata": gone["metadata"] | {"resourceVersion": str(change.version)}}

    def _wants(self, change: Change, found: Object | None) -> bool:
        if found is None or change.resource != self.resource:
            return False
        return self.namespace in (None, found["metadata"]["namespace"]) and self.matches(found)

    def _bookmark(self) -> Object:
        metadata = {"resourceVersion": str(self.position), "creationTimestamp": None}
        return {
            "kind": self.store.kind(self.resource).name,
            "apiVersion": self.resource.api_version,
            "metadata": metadata,
        }


async def _send(response: web.StreamResponse, event: str, found: Object) -> None:
    await response.write(json.dumps({"type": event, "object": found}).encode() + b"\n")


@dataclass
class Watches:
    """The watches that are open.

    Attributes:
        bookmark_every_s: time between bookmarks to watches that want them; a real server takes about a minute.
        gone_as_status: say that a version is too old by the HTTP status, not by an event.
    """

    store: Store
    bookmark_every_s: float = 60.0
    gone_as_status: bool = False
    open: list[Watch] = field(default_factory=list)

    def of(self, resource: Resource) -> list[Watch]:
        return [watch for watch in self.open if watch.resource == resource]

    async def serve(self, request: web.Request, resource: Resource, namespace: str | None) -> web.StreamResponse:
        query = request.query
        told, matches = query.get("resourceVersion", ""), selector(query)
        wants_bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        start = [] if told not in ("", "0") else [o for o in self.store.list(resource, namespace) if matches(o)]
        position = int(told) if told not in ("", "0") else self.store.version
        is_gone = position < self.store.oldest
        if is_gone and self.gone_as_status:
            raise too_old(position)
        every_s = self.bookmark_every_s if wants_bookmarks else None
        watch = Watch(request, resource, self.store, namespace, matches, position, every_s)
        if is_gone:
            watch.error = too_old(position)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self.open.append(watch)
        try:
            await watch.serve(response, float(query.get("timeoutSeconds") or DEFAULT_TIMEOUT_S), start)
        finally:
            self.open.remove(watch)
        return response


def parse_line(line: bytes) -> tuple[str, Any]:
    """Type and object of one line of a watch."""
    event = json.loads(line)
    return event["type"], event["object"]
