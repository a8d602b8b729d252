"""Addresses of hosts that are written by name, looked up for new connections and kept for a few seconds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from router.transport.addresses import Address

KEPT_S = 5.0
"""How long an answer is used again: a name that moves is followed this fast, and a burst of connections asks once."""
MAX_KEPT = 1024

Found = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it: family, type, protocol, canonical name, address."""


@dataclass(frozen=True, slots=True)
class _Answer:
    found: list[Found]
    until_s: float


async def ask(host: str, port: int | None) -> list[Found]:
    """Every address of a host, by the system's resolver.

    Raises:
        OSError: it has none, nobody answers, or it is none that can be asked for.
    """
    try:
        return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except ValueError as error:
        # UnicodeError of a label that is empty or too long. Whoever asks expects what a resolver raises.
        raise OSError(f"{host:.300} is no host that can be asked for: {error}") from error


class Names:
    """Looks names up.

    Args:
        now_s: monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[Address, _Answer] = {}
        self._asking: dict[Address, asyncio.Task[list[Found]]] = {}

    async def look_up(self, address: Address) -> list[Found]:
        """Every address of a host, the preferred one first; whoever asks at the same time shares the answer.

        Raises:
            OSError: the name is not known, or none that can be.
        """
        kept = self._kept.get(address)
        if kept is not None and self._now_s() < kept.until_s:
            return kept.found
        task = self._asking.get(address)
        if task is None:
            task = self._asking[address] = asyncio.get_running_loop().create_task(self._ask(address))
            task.add_done_callback(lambda done: self._told(address, done))
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, address: Address) -> None:
        """Ask anew next time: none of the addresses could be connected to."""
        self._kept.pop(address, None)

    async def _ask(self, address: Address) -> list[Found]:
        found = await ask(*address)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[address] = _Answer(found, self._now_s() + KEPT_S)
        return found

    def _told(self, address: Address, done: asyncio.Task[list[Found]]) -> None:
        del self._asking[address]
        if not done.cancelled():
            # Looked at even where all who asked have given up, so that no failure counts as unnoticed.
            done.exception()
