"""Small requests to engines - probes, lists of models - over the same TLS and Unix sockets as clients' requests."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp

from router.transport.addresses import parse_engine
from router.transport.keyring import Keyring


class EngineSession:
    """An HTTP client for engines.

    Args:
        keyring: knows the engines and which of them speak TLS; None takes every address for a plain one.
        timeout_s: longest a request may take; None leaves that to the caller.
    """

    def __init__(self, keyring: Keyring | None = None, timeout_s: float | None = None) -> None:
        self._keyring = keyring
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._by_path: dict[str, aiohttp.ClientSession] = {}

    def get(self, url: str, path: str, **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """GET; see `request`."""
        return self.request("GET", url, path, **options)

    def request(
        self, method: str, url: str, path: str, **options: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer of an engine, to be entered; redirections are not followed.

        Args:
            method: of HTTP.
            url: of the engine, as it is configured.
            path: begins with a slash.
            options: of `aiohttp.ClientSession.request`.

        Raises:
            ConnectionError: the engine is none of the pools the keyring knows.
        """
        engine = parse_engine(url)
        if engine.is_unix:
            return self._at(engine.host).request(method, f"http://localhost{path}", allow_redirects=False, **options)
        tls = None if self._keyring is None else self._keyring.of_engine(engine.address)
        if tls is not None:
            options |= {"ssl": tls.credentials.context, "server_hostname": tls.server_name}
        if self._session is None:
            self._session = self._new(aiohttp.TCPConnector(limit=0))
        return self._session.request(method, f"{url}{path}", allow_redirects=False, **options)

    async def __aenter__(self) -> EngineSession:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        for session in (self._session, *self._by_path.values()):
            if session is not None:
                await session.close()

    def _at(self, path: str) -> aiohttp.ClientSession:
        """A session has one Unix socket; there are as many as engines."""
        if path not in self._by_path:
            self._by_path[path] = self._new(aiohttp.UnixConnector(path, limit=0))
        return self._by_path[path]

    def _new(self, connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=connector, timeout=self._timeout)
