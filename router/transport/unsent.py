"""How much of what was written a peer has yet to take."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios


def unsent_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes written that wait for the peer.

    A TLS transport does not tell what it has encrypted and passed on, so what the system holds for the socket is
    added (SIOCOUTQ, tcp(7)): while that is 0 nothing waits further up either.
    """
    size = transport.get_write_buffer_size()
    if transport.can_write_eof():
        return size
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return size
    (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return size + int(queued)
