"""Connections to engines, however they are reached."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

Address = tuple[str, int]
"""Host and port of an engine; the path of its socket and 0 where it listens on a Unix socket."""


class Dial(Protocol):
    """Makes connections; `Dialer.connect` does."""

    async def __call__(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Connect the protocol that `factory` makes.

        Raises:
            OSError: no connection.
        """


class Dialer:
    """Connects to the engines of the pools."""

    async def connect(self, factory: Callable[[], asyncio.Protocol], address: Address) -> None:
        """Connect the protocol that `factory` makes.

        Raises:
            OSError: no connection.
        """
        await asyncio.get_running_loop().create_connection(factory, *address)
