"""How commands ask a controller that runs, over its HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from controller.dashboard.access import TOKEN_VARIABLE
from controller.errors import ConfigError, ControllerError
from controller.http import bearer_token
from controller.http.bounded_body import read_body
from controller.settings.file import load
from router.transport.loopback import refuse_readable

URL_VARIABLE = "WATTROUTE_CONTROLLER_URL"
DEFAULT_URL = "http://127.0.0.1:8090"
_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 4 << 20


class RequestRefused(ControllerError):  # noqa: N818 - reads as the outcome it is
    """The controller did not do what was asked; the text is its own."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the controller is.

    Attributes:
        url: its address; None takes it from the configuration, the environment or the default.
        config: configuration file with its address and token file.
        site: name that the controller must give its site; None takes any.
    """

    url: str | None = None
    config: Path | None = None
    site: str | None = None


async def ask(
    access: Access, environment: Mapping[str, str], method: str, path: str, body: dict[str, Any] | None
) -> Any:
    """Ask the controller; its answer as JSON.

    Raises:
        ConfigError, RequestRefused: it cannot be asked, or refuses.
    """
    url, token = _address(access, environment)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            if access.site is not None:
                state = await _answer(session, "GET", f"{url}/v1/site", None)
                found = state.get("site") if isinstance(state, dict) else None
                if found != access.site:
                    raise ConfigError(f"--site {access.site}: {url} is the controller of {found}; correct either")
            return await _answer(session, method, f"{url}{path}", body)
    except aiohttp.ClientConnectorCertificateError as error:
        raise RequestRefused(
            f"{url}: its certificate is not believed: {error.certificate_error}; correct the host name, or name the "
            "file of the authority that issued it in SSL_CERT_FILE"
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RequestRefused(
            f"{url}: the controller does not answer: {error or type(error).__name__}; start it, or name it with "
            f"--controller or {URL_VARIABLE}"
        ) from error


async def _answer(session: aiohttp.ClientSession, method: str, url: str, body: dict[str, Any] | None) -> Any:
    async with session.request(method, url, json=body, allow_redirects=False) as answer:

        def refused(reason: str) -> RequestRefused:
            return RequestRefused(f"{url}: {answer.status}, {reason}: is this the controller's port?")

        raw = await read_body(answer, _MAX_ANSWER_BYTES, refused)
        try:
            told = json.loads(raw)
        except ValueError as error:
            raise refused("no JSON") from error
        if answer.status >= 400:
            said = told.get("error") if isinstance(told, dict) else None
            message = said.get("message") if isinstance(said, dict) else None
            raise RequestRefused(f"{answer.status}: {f'{told!r:.200}' if message is None else message}")
        return told


def _address(access: Access, environment: Mapping[str, str]) -> tuple[str, str | None]:
    settings = None if access.config is None else load(access.config)
    file = None if settings is None else settings.controller.token_file
    token = bearer_token.load_token(file, environment, key="controller.token_file", variable=TOKEN_VARIABLE)
    url = access.url or environment.get(URL_VARIABLE)
    if url is None and settings is not None:
        host = settings.controller.host
        named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        url = f"http://{named}:{settings.controller.port}"
    url = (url or DEFAULT_URL).rstrip("/")
    if token is not None:
        try:
            refuse_readable([url], "the token of controller.token_file" if file is not None else TOKEN_VARIABLE)
        except ValueError as error:
            raise ConfigError(
                f"{error}, such as a tunnel's: ssh -L 8090:127.0.0.1:8090 HOST; the address is that of --controller, "
                f"{URL_VARIABLE} or controller.host"
            ) from error
    return url, token
