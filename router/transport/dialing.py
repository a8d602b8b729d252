"""Connections to engines, however they are reached: by TCP or by a Unix socket, plain or by TLS."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Protocol

from router import clock
from router.transport.addresses import Address, is_number
from router.transport.keyring import Keyring
from router.transport.listening import keep_alive
from router.transport.names import Found, Names

log = logging.getLogger(__name__)

NEXT_ADDRESS_S = 0.25
"""Head start of each address of a name over the next one, RFC 8305 §5."""

Factory = Callable[[], asyncio.Protocol]


class Dial(Protocol):
    """Makes connections; `Dialer.connect` does."""

    async def __call__(self, factory: Factory, address: Address) -> None:
        """Connect the protocol that `factory` makes.

        Raises:
            OSError: no connection.
        """


class Dialer:
    """Connects to engines.

    Args:
        keyring: knows the engines and which of them speak TLS; None takes every address for a plain one.
        names: looks hosts up.
    """

    def __init__(self, keyring: Keyring | None = None, names: Names | None = None) -> None:
        self._keyring = keyring
        self._names = names or Names(clock.monotonic_s)

    async def connect(self, factory: Factory, address: Address) -> None:
        """Connect the protocol that `factory` makes; of several addresses of a name the first that answers counts.

        Raises:
            OSError: no connection.
        """
        host, port = address
        if port == 0:
            await asyncio.get_running_loop().create_unix_connection(factory, host)
        elif is_number(host):
            await self._open(factory, address, host=host, port=port)
        else:
            await self._open_by_name(factory, address)

    async def _open_by_name(self, factory: Factory, address: Address) -> None:
        found = await self._names.look_up(address)
        try:
            if len(found) == 1:
                await self._open(factory, address, host=str(found[0][4][0]), port=address[1])
            else:
                await self._open_first(factory, address, found)
        except OSError:
            self._names.forget(address)
            raise

    async def _open_first(self, factory: Factory, address: Address, found: list[Found]) -> None:
        # Comes with aiohttp; few routers have engines whose names have several addresses.
        import aiohappyeyeballs

        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1)
        try:
            await self._open(factory, address, sock=sock)
        except BaseException:
            sock.close()
            raise

    async def _open(self, factory: Factory, address: Address, **where: Any) -> None:
        secured: dict[str, Any] = {}
        tls = None if self._keyring is None else self._keyring.of_engine(address)
        if tls is not None:
            secured = {"ssl": tls.credentials.context, "server_hostname": tls.server_name}
        transport, _ = await asyncio.get_running_loop().create_connection(factory, **where, **secured)
        _keep_alive(transport)


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    of_transport = transport.get_extra_info("socket")
    if of_transport is None:
        return
    # What a transport gives makes a socket for each call, which costs more than the calls.
    sock = socket.socket(of_transport.family, socket.SOCK_STREAM, 0, fileno=of_transport.fileno())
    try:
        keep_alive(sock)
    except OSError as error:
        log.debug("engine gone as it was connected to", extra={"reason": error.strerror})
    finally:
        sock.detach()
