"""One bounded GET, shared by the signals: every failure comes out as `SignalError` with a short reason."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import aiohttp

from controller.errors import SignalError
from controller.http.bounded_body import read_body
from controller.ports import EngineClient

MAX_BODY_BYTES = 16 << 20
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


async def get_text(session: aiohttp.ClientSession, url: str, timeout_s: float) -> str:
    """Body of a 200 answer.

    Raises:
        SignalError: no connection, no answer in time, another status, or a body that is too large or not UTF-8.
    """
    status, body = await get(session, url, timeout_s)
    if status != 200:
        raise SignalError(url, f"status {status}")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise SignalError(url, f"not UTF-8 at byte {error.start}") from error


async def get_json(session: aiohttp.ClientSession, url: str, timeout_s: float) -> Any:
    """Decoded JSON of a 200 answer.

    Raises:
        SignalError: as for `get_text`, or the body is not JSON.
    """
    text = await get_text(session, url, timeout_s)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SignalError(url, f"not JSON ({error})") from error


async def get(
    session: aiohttp.ClientSession, url: str, timeout_s: float, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body of any answer.

    Raises:
        SignalError: no connection, no answer in time, or a body larger than `MAX_BODY_BYTES`.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    return await read(session.get(url, timeout=timeout, headers=headers, allow_redirects=False), url, timeout_s)


async def ask_engine(engines: EngineClient, engine: str, path: str, timeout_s: float) -> tuple[int, bytes]:
    """Status and body of an engine's answer to GET.

    Raises:
        SignalError: as for `get`.
    """
    try:
        answer = engines.request("GET", engine, path, timeout=aiohttp.ClientTimeout(total=timeout_s))
    except OSError as error:
        raise SignalError(f"{engine}{path}", str(error)) from error
    return await read(answer, f"{engine}{path}", timeout_s)


async def read(
    answer: AbstractAsyncContextManager[aiohttp.ClientResponse],
    url: str,
    timeout_s: float,
    max_bytes: int | None = None,
) -> tuple[int, bytes]:
    """Status and body of an answer that is to come.

    Raises:
        SignalError: as for `get`, with `max_bytes` in place of `MAX_BODY_BYTES` where it is told.
    """
    most_bytes = MAX_BODY_BYTES if max_bytes is None else max_bytes
    try:
        async with answer as response:
            refuse_redirect(response, url)
            return response.status, await read_body(response, most_bytes, partial(SignalError, url))
    except TimeoutError as error:
        raise SignalError(url, f"no answer within {timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SignalError(url, what_failed(error)) from error


def refuse_redirect(response: aiohttp.ClientResponse, url: str) -> None:
    """Follow no redirect, which may lead a token to somebody else, but tell where it leads.

    Raises:
        SignalError: the answer is a redirect.
    """
    if response.status in _REDIRECTS:
        to = response.headers.get("Location", "nowhere")
        raise SignalError(url, f"status {response.status}: it redirects to {to!r:.200}; configure that address")


def what_failed(error: Exception) -> str:
    """What the failure of a connection says to the operator."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not believed ({error.certificate_error})"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"cannot connect to the proxy {error.host}:{error.port} ({_cause(error.os_error)})"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refuses it (status {error.status})"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({_cause(error.os_error)})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke off within the answer"
    return f"{type(error).__name__}: {error}"


def _cause(error: OSError) -> str:
    """What the system says; asyncio writes "Connect call failed" over it. TLS and resolvers have own numbers."""
    if error.errno is not None and error.errno > 0 and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error)
