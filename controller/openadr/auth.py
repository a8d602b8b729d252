"""Access tokens of a VTN: where they are had, and one at a time while it is good (OAuth 2.0 client credentials).

A VTN that restarts forgets its tokens: a 401 or 403 for a token that is not brand-new gets another one. The secret is
read from its file at each request, so that it may be rotated, and is sent to nobody but the token endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from controller.clock import Clock
from controller.errors import ConfigError, MessageError, SignalError, VtnError
from controller.http.secret_file import find_secret
from controller.openadr.answers_read import read_problem, read_token, read_token_url
from controller.openadr.http import Request, VtnHttp
from controller.openadr.messages import Token, Version
from router.transport.loopback import is_private

log = logging.getLogger(__name__)

MIN_AGE_S = 10.0
"""A token refused within this time of its issue is refused for what it may do: another one would fare no better."""
DEFAULT_LIFE_S = 3600.0
_SPARE_S = 30.0
_ABSENT = frozenset((400, 404, 405, 501))


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who a VEN is to its VTN.

    Attributes:
        client_id: as the programme's operator gave it.
        secret_file: file that holds the secret.
        secret_env: environment variable that holds it, where there is no file.
        scope: asked for, where the server wants it said.
        token_url: where tokens are had; None asks the VTN.
    """

    client_id: str
    secret_file: Path | None = None
    secret_env: str | None = None
    scope: str | None = None
    token_url: str | None = None

    def secret(self) -> str:
        """The secret, as it is now.

        Raises:
            SignalError: the file or the variable does not hold one.
        """
        place = f"secret of client {self.client_id}"
        try:
            found = find_secret(self.secret_file, self.secret_env, os.environ, "client_secret_file")
        except ConfigError as error:
            raise SignalError(place, str(error)) from error
        if found is None:
            raise SignalError(place, "there is none; write client_secret_file")
        return found


class TokenDesk:
    """Hands out the token of the moment."""

    def __init__(self, http: VtnHttp, url: str, credentials: Credentials | None, clock: Clock) -> None:
        self._http = http
        self._url = url
        self._credentials = credentials
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._since_s = 0.0
        self._discovered: tuple[Version, str] | None = None
        self._is_sure = False

    async def token(self) -> Token | None:
        """A token that is good for a while yet; None for a VTN that asks for none.

        Raises:
            SignalError: none can be had.
        """
        if self._credentials is None:
            return None
        async with self._lock:
            if self._token is None or self._clock.monotonic_s() >= self._since_s + _life_s(self._token):
                self._token = await self._fetch(self._credentials)
                self._since_s = self._clock.monotonic_s()
            return self._token

    def may_renew(self, refused: Token) -> bool:
        """Take back a token that was refused; whether asking for another one is worth it."""
        if self._token is not refused:
            return True
        if self._clock.monotonic_s() - self._since_s < MIN_AGE_S:
            return False
        self._token = None
        return True

    async def version(self) -> Version:
        """Which version the VTN speaks: 3.1 tells where tokens are had, 3.0.1 does not know that request.

        Raises:
            SignalError: it cannot be told.
        """
        return (await self._discover())[0]

    def doubt_version(self) -> None:
        """Ask again which version it is, unless the VTN has once told that it is 3.1.

        What answers 404 may be a proxy before a VTN that is not up yet.
        """
        if self._discovered is not None and self._discovered[0] is Version.V3_0:
            self._discovered = None

    async def _discover(self) -> tuple[Version, str]:
        if self._discovered is None:
            place = f"{self._url}/auth/server"
            answer = await self._http.send(Request("GET", place))
            if answer.status == 200:
                self._discovered = Version.V3_1, read_token_url(answer.body)
                self._is_sure = True
            elif answer.status in _ABSENT and not self._is_sure:
                self._discovered = Version.V3_0, f"{self._url}/auth/token"
            else:
                reason = f"status {answer.status}: {read_problem(answer.body)}; or set version and token_url"
                raise VtnError(place, reason, answer.status, answer.retry_after_s)
        return self._discovered

    async def _fetch(self, credentials: Credentials) -> Token:
        token_url = credentials.token_url or (await self._discover())[1]
        refuse_plain(token_url)
        form = {"grant_type": "client_credentials", "client_id": credentials.client_id}
        form |= {"client_secret": credentials.secret()} | ({"scope": credentials.scope} if credentials.scope else {})
        answer = await self._http.send(Request("POST", token_url, form=form, headers={"Accept": "application/json"}))
        if answer.status != 200:
            self._discovered = None
            reason = f"no token for {credentials.client_id}: status {answer.status}: {read_problem(answer.body)}"
            raise VtnError(token_url, reason, answer.status, answer.retry_after_s)
        try:
            token = read_token(answer.body)
        except MessageError as error:
            raise SignalError(token_url, str(error)) from error
        log.info("token received", extra={"token_url": token_url, "expires_in_s": token.expires_in_s})
        return token


def refuse_plain(url: str) -> None:
    """Let credentials go over TLS alone, or to this machine.

    Raises:
        SignalError: the address is neither.
    """
    if not is_private(url):
        raise SignalError(url[:200], "credentials are sent over https:// alone; set token_url to such an address")


def _life_s(token: Token) -> float:
    """How long a token is used: a little less than it is good for."""
    life_s = DEFAULT_LIFE_S if token.expires_in_s is None else token.expires_in_s
    return max(life_s - _SPARE_S, life_s / 2)
