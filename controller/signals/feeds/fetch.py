"""How publishers are asked: paced by host, bounded in size and time, TLS verified, secrets out of every text.

Answers with an ETag or a Last-Modified are kept in memory and asked for conditionally, which most publishers count as
nothing. Redirects are not followed, as one may lead a secret to somebody else.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import math
import os
import re
from collections import OrderedDict, deque
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp

from controller.clock import Clock
from controller.errors import ConfigError, FeedRefused, SignalError
from controller.http.bounded_body import read_body
from controller.http.forward_proxy import by_proxy
from controller.http.secret_file import find_secret
from controller.signals.feeds.provider import Ask
from controller.signals.http_client import refuse_redirect, what_failed
from controller.signals.power.http_access import HttpOptions, tls_context

MAX_BODY_BYTES = 4 << 20
"""Largest answer that is read: a week of quarter hours in XML has some 150 kB."""
_KEPT_ANSWERS = 16
_HIDDEN = 8
_LONGEST_RETRY_S = 3600.0
_LEAST_SECRET = 4
"""Shorter texts are no secrets, and would black out half of a message."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """How a publisher is reached.

    Attributes:
        token_file: file with the secret, read anew for each request.
        token_env: variable of the environment with the secret, where there is no file.
        ca_file: authorities that may have issued the server's certificate; None takes those of the system.
        timeout_s: longest wait for a whole answer.
    """

    token_file: Path | None = None
    token_env: str | None = None
    ca_file: Path | None = None
    timeout_s: float = 15.0
    max_bytes: int = MAX_BODY_BYTES


class Pacer:
    """Keeps the questions to a host apart, over all feeds."""

    def __init__(self, clock: Clock, spacing_s: float = 1.0) -> None:
        self._clock = clock
        self._spacing_s = spacing_s
        self._next_s: dict[str, float] = {}

    async def turn(self, host: str) -> None:
        """Wait for the host's next turn."""
        now_s = self._clock.monotonic_s()
        at_s = max(now_s, self._next_s.get(host, 0.0))
        self._next_s[host] = at_s + self._spacing_s
        if at_s > now_s:
            await self._clock.sleep(at_s - now_s)


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    etag: str | None
    modified: str | None


class HttpWeb:
    """Asks one publisher over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, options: WebOptions, pacer: Pacer) -> None:
        """Take over the options.

        Raises:
            ConfigError: a file of TLS cannot be used.
        """
        self._session = session
        self._options = options
        self._pacer = pacer
        self._ssl = tls_context(HttpOptions(ca_file=options.ca_file))
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._hidden: deque[str] = deque(maxlen=_HIDDEN)

    async def get(self, ask: Ask) -> bytes:
        """Body of a 200 answer, or of the one that a 304 confirms.

        Raises:
            FeedRefused: another status.
            SignalError: no secret, no connection, no answer in time, a redirect, or a body that is too large.
        """
        shown = ask.url.partition("?")[0]
        params, headers = self._with_secret(ask, shown)
        key = f"{ask.url}?{urlencode(sorted(ask.params.items()))}"
        kept = self._kept.get(key) if ask.is_repeated else None
        if kept is not None:
            headers |= {"If-None-Match": kept.etag} if kept.etag else {"If-Modified-Since": kept.modified or ""}
        try:
            await self._pacer.turn(urlsplit(ask.url).netloc)
            status, body, told = await self._read(ask, params, headers, shown)
        except SignalError as error:
            raise SignalError(shown, self.scrubbed(error.reason)) from None
        except TimeoutError:
            raise SignalError(shown, f"no answer within {self._options.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise SignalError(shown, self.scrubbed(what_failed(error))) from None
        if status == 304 and kept is not None:
            return kept.body
        if status != 200:
            raise self._refused(status, told, shown)
        if ask.is_repeated and (told.get("ETag") or told.get("Last-Modified")):
            self._kept[key] = _Kept(body, told.get("ETag"), told.get("Last-Modified"))
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return body

    def hide(self, secret: str) -> None:
        """Keep a text out of errors and logs."""
        if len(secret) >= _LEAST_SECRET and secret not in self._hidden:
            self._hidden.append(secret)

    def scrubbed(self, text: str) -> str:
        """The text without secrets, however they are written in addresses."""
        for secret in self._hidden:
            text = _forms(secret).sub("***", text)
        return text

    async def _read(
        self, ask: Ask, params: dict[str, str], headers: dict[str, str], shown: str
    ) -> tuple[int, bytes, dict[str, str]]:
        async with self._session.get(
            ask.url,
            params=params,
            headers=headers,
            ssl=self._ssl if urlsplit(ask.url).scheme == "https" else True,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._options.timeout_s),
            **by_proxy(ask.url, os.environ),
        ) as answer:
            refuse_redirect(answer, shown)
            told = {
                name: answer.headers[name]
                for name in ("ETag", "Last-Modified", "Retry-After")
                if name in answer.headers
            }
            if answer.status != 200:
                return answer.status, b"", told
            body = await read_body(answer, self._options.max_bytes, functools.partial(SignalError, shown))
            return answer.status, body, told

    def _with_secret(self, ask: Ask, shown: str) -> tuple[dict[str, str], dict[str, str]]:
        params, headers = dict(ask.params), dict(ask.headers)
        if ask.user is None and ask.secret_header is None and ask.secret_param is None:
            return params, headers
        try:
            secret = find_secret(self._options.token_file, self._options.token_env, os.environ, "token_file")
        except ConfigError as error:
            raise SignalError(shown, str(error)) from error
        if secret is None:
            return params, headers
        self.hide(secret)
        if ask.user is not None:
            pair = base64.b64encode(f"{ask.user}:{secret}".encode()).decode()
            self.hide(pair)
            headers["Authorization"] = f"Basic {pair}"
        elif ask.secret_param is not None:
            params[ask.secret_param] = secret
        elif ask.secret_header is not None:
            headers[ask.secret_header] = f"Bearer {secret}" if ask.secret_header == "Authorization" else secret
        return params, headers

    def _refused(self, status: int, told: dict[str, str], shown: str) -> FeedRefused:
        where = self._options.token_file or self._options.token_env
        if status in (401, 403):
            remedy = (
                "configure a token" if where is None else f"look whether the token in {where} is right and allows it"
            )
            return FeedRefused(shown, f"status {status}: {remedy}", status)
        if status == 429:
            return FeedRefused(shown, "status 429: asked too often; raise refresh_s", status, _retry_s(told))
        return FeedRefused(shown, f"status {status}", status, _retry_s(told))


class FileWeb:
    """Reads a file instead, by an address ``file:PATH``."""

    def __init__(self, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_bytes = max_bytes

    async def get(self, ask: Ask) -> bytes:
        """The file's content.

        Raises:
            SignalError: it cannot be read, or is too large.
        """
        path = Path(ask.url.removeprefix("file:"))
        try:
            body = await asyncio.to_thread(self._content, path)
        except OSError as error:
            raise SignalError(str(path), f"cannot be read: {error.strerror or error}") from error
        if len(body) > self._max_bytes:
            raise SignalError(str(path), f"more than {self._max_bytes} bytes")
        return body

    def hide(self, secret: str) -> None:
        """A file hands out no secret."""

    def scrubbed(self, text: str) -> str:
        """The text as it is."""
        return text

    def _content(self, path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(self._max_bytes + 1)


@functools.lru_cache(maxsize=64)
def _forms(secret: str) -> re.Pattern[str]:
    """Matches a secret with any of its characters percent-encoded, as addresses write them in several ways."""
    return re.compile("".join(_form(character) for character in secret))


def _form(character: str) -> str:
    coded = "".join(f"%{byte:02x}" for byte in character.encode())
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|(?i:{coded}){plus})"


def _retry_s(told: dict[str, str]) -> float | None:
    """Seconds of a Retry-After; dates, which depend on clocks, are left alone."""
    try:
        seconds = float(told.get("Retry-After", ""))
    except ValueError:
        return None
    return min(max(0.0, seconds), _LONGEST_RETRY_S) if math.isfinite(seconds) else None
