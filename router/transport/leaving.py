"""Whether a peer has left a connection that nobody reads."""

from __future__ import annotations

import asyncio
import select

# Linux tells the end of the peer's sending apart from bytes that wait to be read, poll(2).
_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def is_left(transport: asyncio.BaseTransport) -> bool:
    """Whether the peer has closed or reset the connection, as far as the system knows."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), _LEFT)
    return any(events & _LEFT for _, events in poll.poll(0))
