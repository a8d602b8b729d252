"""How much of what was written a peer has yet to take."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes written that this process still holds for the peer.

    A TLS transport does not tell what it has encrypted and passed on, so what the system holds for the socket is
    added: while that is 0 nothing waits further up either.
    """
    size = transport.get_write_buffer_size()
    return size if transport.can_write_eof() else size + _in_system(transport)


def untaken_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes written that the peer's system has yet to take.

    The system itself may hold megabytes of them, and take more of a process only when a good part has gone: seen from
    the process alone, one that reads steadily may seem to stand still for long.
    """
    return transport.get_write_buffer_size() + _in_system(transport)


def _in_system(transport: asyncio.WriteTransport) -> int:
    """What the system holds for the socket: SIOCOUTQ, tcp(7), unix(7)."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return int(queued)
