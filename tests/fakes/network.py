"""What this machine's network can do."""

from __future__ import annotations

import socket

NO_IPV6 = "this machine has no ::1"


def has_ipv6() -> bool:
    """Whether ::1 can be bound."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
