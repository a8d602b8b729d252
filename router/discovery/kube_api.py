"""Lists and watches of the Kubernetes API: bounded in size and time, and nothing that writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
import msgspec

from router.discovery.service_account import Credentials, ServiceAccount
from router.errors import DiscoveryError
from router.version import VERSION

ANSWER_S = 10.0
"""Longest wait for an answer, and for the head of a watch's."""
CONNECT_S = 5.0
MAX_PAGE_BYTES = 32 << 20
MAX_EVENT_BYTES = 4 << 20
"""An EndpointSlice with the most endpoints it may have, 1000, takes about half a megabyte; etcd keeps 1.5 MiB."""
MAX_REASON_BYTES = 4096
MAX_RETRY_AFTER_S = 60.0

Take = Callable[[Mapping[str, Any]], None]


class KubeApi:
    """Asks one API server.

    Args:
        account: where it is, and what it is shown.
    """

    def __init__(self, account: ServiceAccount) -> None:
        self._url = account.url
        self._credentials = Credentials(account)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """One answer.

        Raises:
            DiscoveryError: there is none in time, or not the one asked for.
        """
        with _told(self._url, ANSWER_S):
            async with asyncio.timeout(ANSWER_S), self._answer(path, query) as answer:
                raw = bytearray()
                async for chunk in answer.content.iter_any():
                    raw += chunk
                    if len(raw) > MAX_PAGE_BYTES:
                        raise DiscoveryError(self._url, f"{path}: an answer of more than {MAX_PAGE_BYTES} bytes")
        return _object(self._url, bytes(raw))

    async def watch(
        self, path: str, query: Mapping[str, str], take: Take, *, begun: Callable[[], None], limit_s: float
    ) -> None:
        """Take events until the server ends the watch.

        Args:
            path: of the collection.
            query: of the watch.
            take: is given each event; what it raises ends the watch.
            begun: is called once the server has begun to answer.
            limit_s: after so long it is ended from here: the server, or the way to it, may be frozen.

        Raises:
            DiscoveryError: it does not begin, is cut, or lasts too long.
        """
        with _told(self._url, limit_s):
            async with asyncio.timeout(limit_s), self._answer(path, {**query, "watch": "1"}) as answer:
                begun()
                await self._take_lines(answer, take)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _take_lines(self, answer: aiohttp.ClientResponse, take: Take) -> None:
        rest = bytearray()
        async for chunk in answer.content.iter_any():
            *lines, last = chunk.split(b"\n")
            for line in lines:
                take(_object(self._url, bytes(rest) + line))
                rest.clear()
            rest += last
            if len(rest) > MAX_EVENT_BYTES:
                raise DiscoveryError(self._url, f"an event of more than {MAX_EVENT_BYTES} bytes")

    @asynccontextmanager
    async def _answer(self, path: str, query: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200; a token that is refused is read again, and tried once if it is another."""
        answer = await self._ask(path, query)
        if answer.status == 401 and self._credentials.forget_token():
            answer.close()
            answer = await self._ask(path, query)
        async with answer:
            if answer.status != 200:
                raise await _refusal(self._url, path, answer)
            yield answer

    async def _ask(self, path: str, query: Mapping[str, str]) -> aiohttp.ClientResponse:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
            headers = {"Accept": "application/json", "User-Agent": f"wattroute-router/{VERSION}"}
            self._session = aiohttp.ClientSession(timeout=timeout, headers=headers)
        with _told(self._url, ANSWER_S):
            async with asyncio.timeout(ANSWER_S):
                return await self._session.get(
                    f"{self._url}{path}",
                    params=query,
                    headers=self._credentials.headers(),
                    ssl=self._credentials.tls(),
                    allow_redirects=False,
                )


@contextmanager
def _told(url: str, limit_s: float) -> Iterator[None]:
    """Say of what the client raises who failed, and how."""
    try:
        yield
    except TimeoutError as error:
        raise DiscoveryError(url, str(error) or f"silent; it did not end within {limit_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise DiscoveryError(url, f"{type(error).__name__}: {error}") from error


async def _refusal(url: str, path: str, answer: aiohttp.ClientResponse) -> DiscoveryError:
    raw = await answer.content.read(MAX_REASON_BYTES)
    try:
        message = str(msgspec.json.decode(raw)["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        message = raw.decode("utf-8", "replace")
    told = answer.headers.get("Retry-After", "")
    retry_after_s = min(float(told), MAX_RETRY_AFTER_S) if told.isascii() and told.isdigit() else None
    remedy = "; give the service account a Role for it" if answer.status == 403 else ""
    reason = f"{path}: answered {answer.status}: {message:.300}{remedy}"
    return DiscoveryError(url, reason, status=answer.status, retry_after_s=retry_after_s)


def _object(url: str, raw: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DiscoveryError(url, f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise DiscoveryError(url, "no JSON object")
    return found
