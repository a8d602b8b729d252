"""One bounded request to a VTN: whatever goes wrong comes out as `SignalError` with a short reason."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from controller.errors import ConfigError, SignalError
from controller.http.bounded_body import read_body
from controller.http.forward_proxy import by_proxy
from controller.signals.http_client import refuse_redirect, what_failed

MAX_BODY_BYTES = 8 << 20
MAX_RETRY_AFTER_S = 3600.0
Params = Mapping[str, str | int] | tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a server.

    Attributes:
        content: sent as JSON.
        form: sent as a form, in place of JSON.
    """

    method: str
    url: str
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: Any = None
    form: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        date_s: its clock, to the second; None where it does not tell.
        retry_after_s: how long it asks to wait; None where it does not say.
    """

    status: int
    body: bytes
    date_s: float | None = None
    retry_after_s: float | None = None


class VtnHttp:
    """Sends requests over one session, with TLS verified as told."""

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext, timeout_s: float) -> None:
        self._session = session
        self._tls = tls
        self._timeout_s = timeout_s

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status; redirects are not followed.

        Raises:
            SignalError: no connection, no answer in time, or one larger than `MAX_BODY_BYTES`.
        """
        body = None if request.content is None else json.dumps(request.content, allow_nan=False)
        headers = dict(request.headers) | ({} if body is None else {"Content-Type": "application/json"})
        params = request.params.items() if isinstance(request.params, Mapping) else request.params
        try:
            async with self._session.request(
                request.method,
                request.url,
                params=[(key, str(value)) for key, value in params],
                data=body if request.form is None else dict(request.form),
                headers=headers,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                allow_redirects=False,
                **by_proxy(request.url, os.environ),
            ) as response:
                refuse_redirect(response, request.url)
                taken = await read_body(response, MAX_BODY_BYTES, partial(SignalError, request.url))
                return Answer(response.status, taken, _date_s(response), _retry_after_s(response))
        except TimeoutError as error:
            raise SignalError(request.url, f"no answer within {self._timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SignalError(request.url, what_failed(error)) from error


def tls_context(ca_file: Path | None, *, is_verified: bool = True) -> ssl.SSLContext:
    """TLS 1.2 or later that believes the system's authorities, or those of a file instead.

    Raises:
        ConfigError: the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ValueError) as error:
        raise ConfigError(f"ca_file {ca_file}: {error}; give a file of certificates in PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _date_s(response: aiohttp.ClientResponse) -> float | None:
    return _http_date_s(response.headers.get("Date", ""))


def _http_date_s(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _retry_after_s(response: aiohttp.ClientResponse) -> float | None:
    """Of seconds or of a date beside the server's own (RFC 9110 §10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_RETRY_AFTER_S)
    until_s = _http_date_s(text)
    if until_s is None:
        return None
    now_s = _date_s(response) or datetime.now(UTC).timestamp()
    return min(max(until_s - now_s, 0.0), MAX_RETRY_AFTER_S)
