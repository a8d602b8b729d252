"""Asking routers for their states: on their admin ports, or in Redis, where each tells of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import aiohttp
import redis.asyncio
from redis.exceptions import RedisError

from controller.errors import SignalError
from controller.signals.http_client import get_json
from controller.signals.router_state import RouterState, read_state
from controller.signals.router_turns import Turns
from router.contract_presence import (
    MAX_ROUTERS,
    ROUTERS_SUFFIX,
    STATE_SUFFIX,
    Heard,
    as_bytes,
    decode_routers,
    unpack_state,
)

Answers = Mapping[str, RouterState | SignalError]
"""By a name that a router keeps when it is started again."""


class RouterAsker(Protocol):
    """Knows which routers there are, and asks them."""

    def may_be(self, name: str) -> bool:
        """Whether there may be a router of that name."""

    async def ask(self) -> Answers:
        """What each router says, or why it says nothing; one that has ended in good order is left out.

        Raises:
            SignalError: nobody could be asked.
        """


class HttpRouters:
    """Those at fixed addresses; one that does not answer may be there all the same."""

    def __init__(self, session: aiohttp.ClientSession, urls: tuple[str, ...], timeout_s: float = 1.5) -> None:
        self._session = session
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._timeout_s = timeout_s

    def may_be(self, name: str) -> bool:
        """See `RouterAsker`."""
        return name in self._urls

    async def ask(self) -> Answers:
        """See `RouterAsker`."""
        if not self._urls:
            reason = "no router is configured: write signals.router_urls, or table.redis_url, where routers tell"
            raise SignalError("routers", reason)
        answers = await asyncio.gather(*(self._fetch(url) for url in self._urls))
        return dict(zip(self._urls, answers, strict=True))

    async def _fetch(self, url: str) -> RouterState | SignalError:
        try:
            return read_state(await get_json(self._session, f"{url}/state", self._timeout_s))
        except SignalError as error:
            return error
        except ValueError as error:
            return SignalError(f"{url}/state", str(error))


class RedisRouters:
    """Those that tell of themselves beside the table: two questions, however many they are.

    What many routers tell of many instances is read in turn, so that no answer takes the controller more than it can
    spare: of those whose turn it is not, what they told last is given again.
    """

    def __init__(
        self, client: redis.asyncio.Redis, key: str, timeout_s: float = 1.5, turns: Turns | None = None
    ) -> None:
        self._client = client
        self._key = key
        self._timeout_s = timeout_s
        self._turns = turns or Turns()

    def may_be(self, name: str) -> bool:
        """See `RouterAsker`."""
        return True

    async def ask(self) -> Answers:
        """See `RouterAsker`."""
        source = f"redis {self._key}{ROUTERS_SUFFIX}"
        try:
            async with asyncio.timeout(self._timeout_s):
                entries = await self._client.hgetall(self._key + ROUTERS_SUFFIX)
                heard = decode_routers(entries)
                names = sorted(heard)
                if len(names) > MAX_ROUTERS:
                    raise SignalError(source, f"{len(names)} routers are told of; delete the key")
                due = self._turns.take(names)
                keys = [f"{self._key}{STATE_SUFFIX}{name}" for name in due]
                states = await self._client.mget(keys) if keys else []
        except TimeoutError as error:
            raise SignalError(source, f"no answer within {self._timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            raise SignalError(source, f"{type(error).__name__}: {error}") from error
        if not names:
            raise SignalError(source, "no router tells of itself there")
        told = [None if data is None else as_bytes(data) for data in states]
        self._turns.told(await asyncio.to_thread(_read_all, due, told))
        return {name: _as_of_now(answer, heard[name]) for name, answer in self._turns.answers.items()}


def _as_of_now(answer: RouterState | SignalError, heard: Heard) -> RouterState | SignalError:
    """What a router told last, with the table that it obeys now."""
    if isinstance(answer, SignalError) or answer.sequence == heard.sequence:
        return answer
    return replace(answer, sequence=heard.sequence)


def _read_all(names: list[str], states: list[bytes | None]) -> dict[str, RouterState | SignalError]:
    return {name: _read(name, data) for name, data in zip(names, states, strict=True)}


def _read(name: str, data: bytes | None) -> RouterState | SignalError:
    if data is None:
        return SignalError(name, "it has told nothing of itself lately")
    try:
        document: Any = json.loads(unpack_state(data))
        return read_state(document)
    except (ValueError, RecursionError) as error:
        return SignalError(name, str(error))
