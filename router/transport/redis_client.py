"""The client for Redis, as everything of the router opens it."""

from __future__ import annotations

import redis.asyncio

from router.settings.tls import ClientTlsSettings
from router.transport.redis_address import without_password
from router.transport.redis_tls import redis_options

TIMEOUT_S = 3.0
"""Longest wait for a connection; callers wait for an answer no longer than that, by `asyncio.timeout`."""


def open_redis(url: str, tls: ClientTlsSettings | None, password: str | None) -> redis.asyncio.Redis:
    """A client that connects when it is first asked.

    Without a timeout of its own for answers: redis-py sends under asyncio.wait_for then, which loses cancellations
    before Python 3.12.

    Args:
        url: of Redis.
        tls: how it is verified at rediss://, and who the router is to it.
        password: takes the place of the url's.

    Raises:
        ValueError: the address is none of Redis.
    """
    return redis.asyncio.Redis.from_url(
        without_password(url) if password else url,
        password=password,
        socket_connect_timeout=TIMEOUT_S,
        socket_timeout=None,
        **redis_options(url, tls),
    )
