"""One document of the controller, asked for over HTTP again and again; an unchanged one costs an empty 304."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from router.clocks_apart import read_date_s
from router.errors import PollError
from router.transport.credentials import Credentials
from router.transport.loopback import without_credentials

JITTER_FRAC = 0.1
"""Intervals vary by this much either way, so that many routers do not ask at once."""
HELD_S = 2
"""How long a controller may hold the answer back until there is another document (RFC 7240)."""
CONNECT_S = 1.5
TIMEOUT_S = HELD_S + CONNECT_S
"""Longest waits for a connection and for an answer. Of what a cut line has lost the kernel repeats the first attempt
within a second, later ones ever more seldom: whoever asks anew is sooner heard once the line is back."""
SOON_S = 0.05
"""Pause after an answer that was held back."""


def jittered_s(interval_s: float, rng: random.Random) -> float:
    """An interval, a little shorter or longer."""
    return interval_s * rng.uniform(1 - JITTER_FRAC, 1 + JITTER_FRAC)


@dataclass(frozen=True, slots=True)
class Document:
    """What is asked for.

    Attributes:
        name: for messages, with its article.
        path: where a controller serves it, for messages.
        max_bytes: a longer answer is not read to its end.
    """

    name: str
    path: str
    max_bytes: int


class Poller:
    """Asks for one document.

    Args:
        session: for all requests.
        url: of the document.
        interval_s: time between two polls.
        rng: spreads the polls.
        credentials: how a controller behind TLS is verified; None for a plain one.
        held: ask to be answered as soon as there is another document; a controller that does so is asked again at once.

    Attributes:
        url: of the document, without credentials: fit for logs.
        told_s: what the controller's clock showed when it answered last; None where it did not say.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        interval_s: float,
        *,
        rng: random.Random,
        credentials: Credentials | None = None,
        held: bool = False,
    ) -> None:
        self.url = without_credentials(url)
        self._address = url
        self._session = session
        self._interval_s = interval_s
        self._rng = rng
        self._credentials = credentials
        self.told_s: float | None = None
        self._etag: str | None = None
        self._asks_to_hold = held
        self._was_held = False

    async def fetch(self, document: Document) -> bytes | None:
        """Ask once; None where the document is still the one last fetched.

        Raises:
            PollError: there is no answer in time, none with the document, or a longer one than it may be.
        """
        headers = {"If-None-Match": self._etag} if self._etag is not None else {}
        if self._asks_to_hold:
            headers["Prefer"] = f"wait={HELD_S}"
        began_s, self._was_held = asyncio.get_running_loop().time(), False
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._session.get(
                    self._address,
                    headers=headers,
                    allow_redirects=False,
                    ssl=self._tls(),
                    timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S),
                ) as answer,
            ):
                self.told_s = read_date_s(answer.headers.get("Date"))
                waited_s = asyncio.get_running_loop().time() - began_s
                is_held = answer.headers.get("Preference-Applied", "").startswith("wait=")
                if answer.status == 304 and self._etag is not None:
                    # One that says so and does not wait is not to be asked without end.
                    self._was_held = is_held and waited_s > HELD_S / 2
                    return None
                if answer.status != 200:
                    raise PollError(self.url, f"answered {answer.status}, 200 with {document.name} is expected")
                raw = await self._read(answer, document)
        except aiohttp.ConnectionTimeoutError as error:
            raise PollError(self.url, f"no connection within {CONNECT_S:g} s") from error
        except TimeoutError as error:
            raise PollError(self.url, f"no answer within {TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PollError(self.url, f"{type(error).__name__}: {error}") from error
        self._etag = answer.headers.get("ETag")
        self._was_held = is_held
        return raw

    def forget(self) -> None:
        """Have the document sent next time whether it is another or not: what was fetched is of no use."""
        self._etag = None

    async def pause(self) -> None:
        """Wait for the next poll."""
        interval_s = min(SOON_S, self._interval_s) if self._was_held else self._interval_s
        await asyncio.sleep(jittered_s(interval_s, self._rng))

    def _tls(self) -> ssl.SSLContext | bool:
        return True if self._credentials is None else self._credentials.context

    async def _read(self, answer: aiohttp.ClientResponse, document: Document) -> bytes:
        raw = bytearray()
        async for chunk in answer.content.iter_any():
            raw += chunk
            if len(raw) > document.max_bytes:
                raise PollError(
                    self.url,
                    f"more than {document.max_bytes} bytes; point it at the {document.path} of a controller",
                )
        return bytes(raw)


class Followed:
    """A document that is handed on as often as it is another one.

    Args:
        poller: asks for it.
        document: what is asked for.
        deliver: takes it; False where it cannot be used, so that it is asked for as a whole again.
        failed: told why it was not had.
    """

    def __init__(
        self, poller: Poller, document: Document, *, deliver: Callable[[bytes], bool], failed: Callable[[str], None]
    ) -> None:
        self._poller = poller
        self._document = document
        self._deliver = deliver
        self._failed = failed

    async def run(self) -> None:
        """Poll for ever; a failure is told and the next poll tries again."""
        while True:
            await self.poll()
            await self._poller.pause()

    async def poll(self) -> None:
        """Ask once and hand the document on."""
        try:
            raw = await self._poller.fetch(self._document)
        except PollError as error:
            self._failed(error.reason)
            return
        if raw is not None and not self._deliver(raw):
            self._poller.forget()
