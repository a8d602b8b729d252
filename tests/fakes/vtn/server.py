"""A small OpenADR 3 server (VTN) over real HTTP: tokens, all objects with paging and targets, webhooks, faults.

It is an emulation for tests. It keeps to the field tables in `tables`, hides targeted objects as 3.1 demands, pages by
50, forgets its tokens when restarted, and answers 409 where the specification has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web

from tests.fakes.vtn.faults import Fault, instead, worse
from tests.fakes.vtn.store import Conflict, Store, is_for
from tests.fakes.vtn.tables import MAY_WRITE, OBJECT_TYPE, PAGE, fault_of

Json = dict[str, Any]
VERBS = {"CREATE": "POST", "UPDATE": "PUT", "DELETE": "DELETE"}


class FakeVtn:
    """The server and its objects.

    Attributes:
        clients: secret and role (`ven` or `bl`) of each client id; empty for a public VTN.
        granted: targets that a client may see (3.1).
        requests: "METHOD /path?query" of all, in order.
        notifiers: answer to GET /notifiers (3.1).
        refused: subscriptions whose callback did not echo.
    """

    def __init__(self, version: str = "3.1.0") -> None:
        self.version = version
        self.store = Store(version)
        self.clients: dict[str, tuple[str, str]] = {"ven-1": ("ven-secret", "ven"), "bl-1": ("bl-secret", "bl")}
        self.granted: dict[str, set[str]] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.notifiers: Json = {"WEBHOOK": True}
        self.topics: dict[str, Json] = {}
        self.token_life_s = 3600
        self.tokens_given = 0
        self.url = ""
        self.refused: list[str] = []
        self.token_url: str | None = None
        self.date_offset_s = 0.0
        self.trust: ssl.SSLContext | bool = True
        """What the VTN believes of the certificates of callbacks."""
        self._tokens: dict[str, tuple[str, float]] = {}
        self._callbacks: set[asyncio.Task[None]] = set()
        self.store.watchers.append(self._on_change)

    # What a test does in the place of a utility.

    def add_program(self, name: str = "shed", **fields: Any) -> str:
        return str(self.store.create("programs", {"programName": name, **fields})["id"])

    def add_event(self, program_id: str, *intervals: Json, **fields: Any) -> str:
        content = {"programID": program_id, "intervals": list(intervals), **fields}
        fault = fault_of(self.version, "events", content)
        assert fault is None, fault
        return str(self.store.create("events", content)["id"])

    def change_event(self, event_id: str, **fields: Any) -> None:
        self.store.update("events", event_id, {**self.store.kinds["events"][event_id], **fields})

    def delete_event(self, event_id: str) -> None:
        self.store.delete("events", event_id)

    def fail(self, pattern: str, kind: int | str, times: int = 1_000_000, **headers: str) -> Fault:
        fault = Fault(pattern, kind, times, {key.replace("_", "-"): value for key, value in headers.items()})
        self.faults.append(fault)
        return fault

    def lose_answers(self, pattern: str, times: int) -> Fault:
        """Do what is asked, and break the connection instead of answering."""
        return self.fail(pattern, "lost", times)

    def mend(self) -> None:
        self.faults.clear()

    def forget_tokens(self) -> None:
        """As a restart does."""
        self._tokens.clear()

    def reports(self) -> list[Json]:
        return list(self.store.kinds["reports"].values())

    # What it does over HTTP.

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/auth/server", self._auth_server)
        app.router.add_post("/auth/token", self._auth_token)
        app.router.add_get("/notifiers", self._notifiers)
        app.router.add_get("/notifiers/mqtt/topics/{path:.+}", self._topics)
        prefix = "" if self.version == "3.1.0" else "/vens/{ven_id}"
        app.router.add_route("*", prefix + "/{kind:resources}", self._many)
        app.router.add_route("*", prefix + "/{kind:resources}/{id}", self._one)
        kinds = "|".join(kind for kind in OBJECT_TYPE if kind != "resources")
        app.router.add_route("*", f"/{{kind:{kinds}}}", self._many)
        app.router.add_route("*", f"/{{kind:{kinds}}}/{{id}}", self._one)
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = next((fault for fault in self.faults if fault.strikes(request)), None)
        if fault is not None:
            answer = await instead(fault)
            if answer is not None:
                return answer
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = problem(error.status, error.reason, error.text or "")
        except Conflict as error:
            response = problem(409, "Conflict", str(error))
        if self.date_offset_s:
            shifted = time.time() + self.date_offset_s
            response.headers["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(shifted))
        if fault is not None and fault.kind == "lost" and request.transport is not None:
            request.transport.abort()
        if fault is not None and response.status == 200:
            return await worse(fault, request, response.body)
        return response

    async def _auth_server(self, request: web.Request) -> web.Response:
        if self.version != "3.1.0":
            return problem(404, "Not Found", "no such path")
        return web.json_response({"tokenURL": self.token_url or f"{self.url}/auth/token"})

    async def _auth_token(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-www-form-urlencoded":
            return web.json_response({"error": "invalid_request"}, status=400)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client_id = str(form.get("client_id"))
        secret, _ = self.clients.get(client_id, ("", ""))
        if not secret or not secrets.compare_digest(secret, str(form.get("client_secret"))):
            return web.json_response({"error": "invalid_client"}, status=401)
        token = secrets.token_hex(16)
        self._tokens[token] = client_id, time.monotonic() + self.token_life_s
        self.tokens_given += 1
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.token_life_s})

    async def _notifiers(self, request: web.Request) -> web.Response:
        self._client(request)
        if self.version != "3.1.0":
            raise web.HTTPNotFound(text="no such path")
        return web.json_response(self.notifiers)

    async def _topics(self, request: web.Request) -> web.Response:
        self._client(request)
        topics = self.topics.get(request.match_info["path"])
        if topics is None:
            raise web.HTTPNotFound(text="no such topics")
        return web.json_response({"topics": topics})

    async def _many(self, request: web.Request) -> web.Response:
        kind, client = request.match_info["kind"], self._client(request)
        if request.method == "GET":
            return web.json_response(self._listed(kind, request, client))
        if request.method != "POST":
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "POST"])
        content = await self._content(kind, request, client)
        given: Json = {"clientID": client[0]} if self.version == "3.1.0" and kind not in ("programs", "events") else {}
        if kind == "resources" and self.version != "3.1.0":
            given["venID"] = request.match_info["ven_id"]
        if kind == "subscriptions":
            await self._challenge(content)
        return web.json_response(self.store.create(kind, content, **given), status=201)

    async def _one(self, request: web.Request) -> web.Response:
        kind, client = request.match_info["kind"], self._client(request)
        kept = self.store.kinds[kind].get(request.match_info["id"])
        if kept is None or not self._may_see(kind, kept, client, self.granted.get(client[0], set())):
            raise web.HTTPNotFound(text=f"no such object in {kind}")
        if request.method == "GET":
            return web.json_response(kept)
        if request.method == "DELETE":
            self._may_write(kind, client)
            return web.json_response(self.store.delete(kind, kept["id"]))
        if request.method != "PUT":
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "PUT", "DELETE"])
        content = await self._content(kind, request, client)
        return web.json_response(self.store.update(kind, kept["id"], content))

    def _client(self, request: web.Request) -> tuple[str, str]:
        """Id and role of who asks."""
        if not self.clients:
            return "", "ven"
        client_id, until_s = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "), ("", 0))
        if not client_id or time.monotonic() >= until_s:
            raise web.HTTPUnauthorized(text="the token is not valid")
        return client_id, self.clients[client_id][1]

    def _listed(self, kind: str, request: web.Request, client: tuple[str, str]) -> list[Json]:
        query = request.query
        try:
            skip, limit = int(query.get("skip", 0)), int(query.get("limit", PAGE))
        except ValueError as error:
            raise web.HTTPBadRequest(text="skip and limit are numbers") from error
        if skip < 0 or not 0 <= limit <= PAGE:
            raise web.HTTPBadRequest(text=f"limit is at most {PAGE}")
        asked = set(query.getall("targets", []) if self.version == "3.1.0" else query.getall("targetValues", []))
        granted = self.granted.get(client[0], set())
        found = [
            kept
            for kept in self.store.kinds[kind].values()
            if self._may_see(kind, kept, client, asked & granted if self.version == "3.1.0" else asked)
            and all(key not in query or kept.get(key) == query[key] for key in FILTERS)
            and kept.get("venID") == request.match_info.get("ven_id", kept.get("venID"))
        ]
        return found[skip : skip + limit]

    def _may_see(self, kind: str, kept: Json, client: tuple[str, str], targets: set[str]) -> bool:
        if client[1] == "bl" or (self.version != "3.1.0" and not targets):
            return True
        if kind in ("programs", "events"):
            return is_for(self.version, kept.get("targets"), targets)
        return self.version != "3.1.0" or kept.get("clientID") == client[0]

    def _may_write(self, kind: str, client: tuple[str, str]) -> None:
        if self.clients and client[1] not in MAY_WRITE[kind]:
            raise web.HTTPForbidden(text=f"a {client[1]} may not write {kind}")

    async def _content(self, kind: str, request: web.Request, client: tuple[str, str]) -> Json:
        self._may_write(kind, client)
        try:
            content = json.loads(await request.read())
        except ValueError as error:
            raise web.HTTPBadRequest(text="the body is not JSON") from error
        fault = fault_of(self.version, kind, content)
        if fault is not None:
            raise web.HTTPBadRequest(text=fault)
        if kind == "events" and content["programID"] not in self.store.kinds["programs"]:
            raise web.HTTPNotFound(text="no such programID")
        if kind == "reports" and content["eventID"] not in self.store.kinds["events"]:
            raise web.HTTPNotFound(text="no such eventID")
        if kind == "vens" and client[1] == "ven" and content.get("targets") and self.version == "3.1.0":
            raise web.HTTPForbidden(text="a VEN may not grant itself targets")
        return content

    # Webhooks.

    async def _challenge(self, subscription: Json) -> None:
        for operation in subscription["objectOperations"]:
            url, echo = operation["callbackUrl"], secrets.token_hex(8)
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(url, params={"echo": echo}, ssl=self.trust) as answer,
                ):
                    is_echo = answer.status == 200 and echo in await answer.text()
            except aiohttp.ClientError:
                is_echo = False
            if not is_echo:
                self.refused.append(url)
                raise web.HTTPBadRequest(text=f"{url} did not echo the challenge")

    def _on_change(self, kind: str, operation: str, content: Json) -> None:
        object_type = OBJECT_TYPE[kind]
        for subscription in list(self.store.kinds["subscriptions"].values()):
            program = subscription.get("programID")
            if program and content.get("programID", content["id"]) != program:
                continue
            for wanted in subscription["objectOperations"]:
                told = operation if self.version == "3.1.0" else VERBS[operation]
                if object_type in wanted["objects"] and told in wanted["operations"]:
                    body = {"objectType": object_type, "operation": told, "object": content}
                    task = asyncio.get_running_loop().create_task(self._call_back(wanted, body))
                    self._callbacks.add(task)
                    task.add_done_callback(self._callbacks.discard)

    async def _call_back(self, wanted: Json, body: Json) -> None:
        headers = {"Authorization": f"Bearer {wanted['bearerToken']}"} if wanted.get("bearerToken") else {}
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.post(wanted["callbackUrl"], json=body, headers=headers, ssl=self.trust) as answer,
            ):
                await answer.read()

    async def settled(self) -> None:
        """Wait until all callbacks are delivered."""
        while self._callbacks:
            await asyncio.gather(*self._callbacks, return_exceptions=True)


FILTERS = ("programID", "eventID", "clientName", "venName", "resourceName", "venID")


def problem(status: int, title: str, detail: str) -> web.Response:
    body = json.dumps({"title": title, "status": status, "detail": detail}).encode()
    return web.Response(status=status, body=body, content_type="application/problem+json")


@contextlib.asynccontextmanager
async def fake_vtn(version: str = "3.1.0", *, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeVtn]:
    """A VTN on a free port of this machine."""
    vtn = FakeVtn(version)
    runner = web.AppRunner(vtn.app(), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    vtn.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vtn
    finally:
        await runner.cleanup()


def interval(number: int, kind: str, *values: Any, **period: str) -> Json:
    """One interval with one payload; `start`, `duration` and `randomizeStart` make its period."""
    made: Json = {"id": number, "payloads": [{"type": kind, "values": list(values)}]}
    return made | ({"intervalPeriod": period} if period else {})
