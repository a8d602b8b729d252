"""How the sources that speak HTTP are reached: TLS, a token from a file, no redirects, bounded answers."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.client import _RequestContextManager

from controller.errors import ConfigError, SignalError
from controller.http.secret_file import read_secret
from controller.signals.http_client import read


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How a source over HTTP is reached.

    Attributes:
        token_file: file with a bearer token, or with the password of `user`; read anew for each request, so that a
            token which is replaced is followed.
        user: name for HTTP basic authentication; None sends the file's content as a bearer token.
        ca_file: authorities that may have issued the server's certificate; None takes those of the system.
        certificate_file, key_file: what is shown to a server that asks for a certificate.
        timeout_s: longest wait for an answer.
        token_header: what a token goes in as it is; None sends it as a bearer token.
        max_body_bytes: of an answer; None takes what the signals have in common.
    """

    token_file: Path | None = None
    user: str | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_s: float = 1.5
    token_header: str | None = None
    max_body_bytes: int | None = None


class HttpAccess:
    """Asks sources over HTTP; every failure comes out as `SignalError`, and no secret stands in one."""

    def __init__(self, session: aiohttp.ClientSession, options: HttpOptions | None = None) -> None:
        """Take over the options.

        Raises:
            ConfigError: a file of TLS cannot be used.
        """
        self._session = session
        self._options = options or HttpOptions()
        self._ssl = tls_context(self._options)

    @property
    def timeout_s(self) -> float:
        """Longest wait for an answer."""
        return self._options.timeout_s

    async def get(self, url: str, params: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of any answer that is no redirect.

        Raises:
            SignalError: no connection, no answer in time, a redirect, a body that is too large, or no token.
        """
        return await self._read(url, params, "GET")

    async def post(self, url: str, params: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """The same for a request that changes something.

        Raises:
            SignalError: as for `get`.
        """
        return await self._read(url, params, "POST")

    async def get_text(self, url: str, params: Mapping[str, str] | None = None) -> str:
        """Body of a 200 answer.

        Raises:
            SignalError: as for `get`, or another status, or the body is not UTF-8.
        """
        status, body = await self.get(url, params)
        if status != 200:
            raise SignalError(url, self.refusal(status))
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise SignalError(url, f"not UTF-8 at byte {error.start}") from error

    async def get_json(self, url: str, params: Mapping[str, str] | None = None) -> Any:
        """Decoded JSON of a 200 answer.

        Raises:
            SignalError: as for `get_text`, or the body is not JSON.
        """
        text = await self.get_text(url, params)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SignalError(url, f"not JSON ({error})") from error

    def stream(self, url: str, silence_s: float) -> _RequestContextManager:
        """An answer without an end, to be entered; reading it fails after `silence_s` without a byte.

        Raises:
            SignalError: no token can be had.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._options.timeout_s, sock_read=silence_s)
        return self._request(url, timeout, None, {"Accept": "text/event-stream"})

    def refusal(self, status: int) -> str:
        """What a status other than 200 says to the operator."""
        file, user = self._options.token_file, self._options.user
        if status == 404:
            return "status 404: there is no such resource; correct the address"
        if status in (401, 403) and user is not None:
            return (
                f"status {status}: the source does not accept user {user!r} with the password in {file}; see its rights"
            )
        if status in (401, 403) and file is not None:
            return f"status {status}: the source does not accept the token in {file}; write one that allows reading"
        if status in (401, 403):
            return f"status {status}: the source wants a token that allows reading; set token_file"
        return f"status {status}"

    async def _read(self, url: str, params: Mapping[str, str] | None, method: str) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=self._options.timeout_s)
        answer = self._request(url, timeout, params, method=method)
        return await read(answer, url, self._options.timeout_s, self._options.max_body_bytes)

    def _request(
        self,
        url: str,
        timeout: aiohttp.ClientTimeout,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
    ) -> _RequestContextManager:
        return self._session.request(
            method,
            url,
            timeout=timeout,
            params=params,
            headers={**(headers or {}), **self._credentials(url)},
            ssl=self._ssl if urlsplit(url).scheme == "https" else True,
            allow_redirects=False,
        )

    def _credentials(self, url: str) -> dict[str, str]:
        file, user = self._options.token_file, self._options.user
        if file is None:
            return {}
        try:
            secret = read_secret(file, "token_file")
        except ConfigError as error:
            raise SignalError(url, str(error)) from error
        if user is None and self._options.token_header is not None:
            return {self._options.token_header: secret}
        if user is None:
            return {"Authorization": f"Bearer {secret}"}
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def tls_context(options: HttpOptions) -> ssl.SSLContext | bool:
    """What a server's certificate is checked with; True stands for the system's authorities.

    Raises:
        ConfigError: a file cannot be used, or only one of certificate and key is given.
    """
    if (options.certificate_file is None) is not (options.key_file is None):
        raise ConfigError("certificate_file and key_file go together; write both or neither")
    if options.ca_file is None and options.certificate_file is None:
        return True
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
        if options.certificate_file is not None:
            context.load_cert_chain(options.certificate_file, options.key_file)
    except (OSError, ssl.SSLError) as error:
        named = [str(file) for file in (options.ca_file, options.certificate_file, options.key_file) if file]
        raise ConfigError(f"{', '.join(named)}: cannot be used for TLS: {error}; write PEM files") from error
    return context
