"""A plain client for the contract suite: aiohttp, and what a service account has. Knows nothing of either server."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.kube.kinds import KINDS, Resource
from tests.fakes.kube.server import kube_server

MERGE = "application/merge-patch+json"
AGENT = "wattroute-contract/1"


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Client:
    """Requests in one namespace; made objects are deleted in the end."""

    session: aiohttp.ClientSession
    namespace: str

    async def ask(
        self, method: str, path: str, *, body: Any = None, content_type: str = "application/json", **query: str
    ) -> Answer:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self.session.request(method, path, params=query, data=data, headers=headers) as response:
            text = await response.text()
            return Answer(response.status, json.loads(text) if text.startswith("{") else text)

    def path(self, resource: Resource, name: str | None = None, sub: str | None = None) -> str:
        return resource.path(self.namespace, name, sub)

    async def create(self, resource: Resource, found: Any, **query: str) -> Answer:
        whole = {"apiVersion": resource.api_version, "kind": KINDS[resource].name, **found}
        return await self.ask("POST", self.path(resource), body=whole, **query)

    async def read(self, resource: Resource, name: str, sub: str | None = None) -> Any:
        return (await self.ask("GET", self.path(resource, name, sub))).body

    async def patch(self, resource: Resource, name: str, body: Any, sub: str | None = None, **query: str) -> Answer:
        return await self.ask("PATCH", self.path(resource, name, sub), body=body, content_type=MERGE, **query)

    async def delete(self, resource: Resource, name: str) -> Answer:
        return await self.ask("DELETE", self.path(resource, name))

    async def knows(self, resource: Resource) -> bool:
        return (await self.ask("GET", self.path(resource))).status == 200

    @contextlib.asynccontextmanager
    async def watch(self, resource: Resource, **query: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Type and object of each event, until the server ends the watch."""
        params = {"watch": "1", **query}
        async with self.session.get(self.path(resource), params=params) as response:
            assert response.status == 200, await response.text()
            yield _events(response)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    async for line in response.content:
        event = json.loads(line)
        yield event["type"], event["object"]


@contextlib.asynccontextmanager
async def contract_client() -> AsyncIterator[Client]:
    """Speaks to the server of WATTROUTE_KUBE_URL, else to a fake one."""
    url = os.environ.get("WATTROUTE_KUBE_URL")
    async with contextlib.AsyncExitStack() as stack:
        if url is None:
            server = await stack.enter_async_context(kube_server())
            server.watches.bookmark_every_s = 0.2
            url = server.url
        ca_file, token_file = os.environ.get("WATTROUTE_KUBE_CA_FILE"), os.environ.get("WATTROUTE_KUBE_TOKEN_FILE")
        headers = {"User-Agent": AGENT}
        if token_file is not None:
            headers["Authorization"] = f"Bearer {Path(token_file).read_text().strip()}"
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
        timeout = aiohttp.ClientTimeout(total=60.0)
        session = aiohttp.ClientSession(url, headers=headers, connector=connector, timeout=timeout)
        await stack.enter_async_context(session)
        yield Client(session, os.environ.get("WATTROUTE_KUBE_NAMESPACE", "default"))
