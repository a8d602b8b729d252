"""Ports of the demo's processes on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass

from controller.errors import ListenError

HOST = "127.0.0.1"
_FIRST = 20_000
_LAST = 32_000
"""Searched for free blocks; below the range that Linux takes the ports of outgoing connections from (32768 on)."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Ports, all on the loopback address; a block that begins with the router's."""

    router: int
    router_admin: int
    controller: int
    emulator_control: int
    engines: tuple[int, ...]


def choose(port: int, engines: int) -> Addresses:
    """Find ports for all processes: the block from `port` on, or a free block if it is 0.

    Raises:
        ListenError: a port of the wanted block is taken, or no free block was found.
    """
    count = 4 + engines
    if port:
        _hold(range(port, port + count))
        return _addresses(port, engines)
    # Different processes begin at different places, so that demos started together do not race for a block.
    start = _FIRST + os.getpid() * 64 % (_LAST - _FIRST)
    for base in (*range(start, _LAST, count), *range(_FIRST, start, count)):
        with contextlib.suppress(ListenError):
            _hold(range(base, base + count))
            return _addresses(base, engines)
    raise ListenError(HOST, _FIRST, f"no {count} free ports in a row up to {_LAST}")


def _addresses(base: int, engines: int) -> Addresses:
    return Addresses(base, base + 1, base + 2, base + 3, tuple(range(base + 4, base + 4 + engines)))


def _hold(ports: range) -> None:
    """Listen on every port for a moment."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            if port > 65_535:
                raise ListenError(HOST, port, f"the demo needs {len(ports)} ports from {ports[0]} on")
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
                listener.listen()
            except OSError as error:
                raise ListenError(HOST, port, error.strerror or str(error)) from error
