"""A fake Kubernetes API server: real HTTP on a port of its own, objects in memory, faults on demand.

It stands in for a cluster in tests; what it is held to is tests/kubernetes/test_api_contract.py, which a real cluster
passes, too. It has no controllers: nothing makes pods or EndpointSlices but the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from tests.fakes.kube.faults import Faults, Recorded, reset
from tests.fakes.kube.kinds import KINDS, Resource
from tests.fakes.kube.refusals import Refusal
from tests.fakes.kube.store import Store
from tests.fakes.kube.verbs import Target, Verbs
from tests.fakes.kube.watching import Watches

_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>scale|status))?$"
)


class KubeServer:
    """The server and what is in it.

    Attributes:
        store: the objects; a test may change them here as another client would.
        verbs, watches, faults: see their classes.
        tokens: bearer tokens that are let in; None for everybody.
        recorded: every request that came in.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.store = Store(dict(KINDS))
        self.verbs = Verbs(self.store)
        self.watches = Watches(self.store)
        self.faults = Faults()
        self.tokens: set[str] | None = None
        self.recorded: list[Recorded] = []
        self.port = 0
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._requests: list[web.Request] = []

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; on the same port as before, where it was stopped."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def kill(self) -> None:
        """End as a killed process does: every connection is reset. The objects stay, as they do in etcd."""
        for request in list(self._requests):
            reset(request)
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    def asked(self, matches: Callable[[Recorded], bool]) -> list[Recorded]:
        return [request for request in self.recorded if matches(request)]

    def lists(self, resource: Resource) -> list[Recorded]:
        return self.asked(lambda r: r.method == "GET" and not r.is_watch and r.path.endswith(f"/{resource.plural}"))

    def watched(self, resource: Resource) -> list[Recorded]:
        return self.asked(lambda r: r.is_watch and r.path.endswith(f"/{resource.plural}"))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._requests.append(request)
        try:
            recorded = await _record(request)
            self.recorded.append(recorded)
            if (instead := await self.faults.befall(recorded)) is not None:
                return instead
            self._let_in(request)
            return await self._obey(request, recorded)
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.code)
        finally:
            self._requests.remove(request)

    def _let_in(self, request: web.Request) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens is not None and token not in self.tokens:
            raise Refusal(401, "Unauthorized")

    async def _obey(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        if recorded.path in ("/readyz", "/livez"):
            return web.Response(text="ok")
        if recorded.path == "/version":
            return web.json_response({"major": "1", "minor": "36", "gitVersion": "v1.36.0-fake"})
        target = _target(recorded.path)
        if recorded.method == "GET" and recorded.is_watch and not target.name:
            self.store.kind(target.resource)
            return await self.watches.serve(request, target.resource, target.namespace)
        code = 201 if recorded.method == "POST" else 200
        return web.json_response(self._done(recorded, target), status=code)

    def _done(self, recorded: Recorded, target: Target) -> dict[str, Any]:
        body = recorded.body or {}
        # As a real server has it: without a field manager the first part of the user agent is one.
        manager = recorded.query.get("fieldManager") or recorded.user_agent.partition("/")[0] or "unknown"
        match recorded.method, bool(target.name):
            case "GET", False:
                return self.verbs.list(target, recorded.query)
            case "GET", True:
                return self.verbs.get(target)
            case "POST", False:
                return self.verbs.create(target, body, manager)
            case "PUT", True:
                return self.verbs.replace(target, body, manager)
            case "PATCH", True:
                return self.verbs.patch(target, body, recorded.content_type, manager)
            case "DELETE", True:
                return self.verbs.delete(target, body)
        raise Refusal(405, "the server does not allow this method on the requested resource")


def _target(path: str) -> Target:
    found = _PATH.match(path)
    if found is None:
        raise Refusal(404, "the server could not find the requested resource")
    resource = Resource(found["group"] or "", found["version"], found["plural"])
    return Target(resource, found["namespace"], found["name"] or "", found["sub"] or "")


async def _record(request: web.Request) -> Recorded:
    text = await request.text()
    try:
        body = json.loads(text) if text else None
    except ValueError as error:
        raise Refusal(400, f"the object provided is unrecognized: {error}") from error
    agent = request.headers.get("User-Agent", "")
    return Recorded(request.method, request.path, dict(request.query), request.content_type, agent, body)


@contextlib.asynccontextmanager
async def kube_server(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[KubeServer]:
    """A running server, killed in the end."""
    server = KubeServer(tls=tls)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


async def until(true: Callable[[], bool], *, limit_s: float = 10.0) -> None:
    """Wait for something to be true; fails with TimeoutError."""
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.005)
