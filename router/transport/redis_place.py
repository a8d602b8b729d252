"""Where Redis is, with all that it takes to get there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from router.settings import TableSettings
from router.transport.loopback import without_credentials
from router.transport.redis_address import as_user
from router.transport.redis_tls import redis_options


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where a Redis is.

    Attributes:
        url: its address; with Sentinels its host is the name of the master that they watch.
        sentinels: HOST:PORT of each; () where the address is that of Redis.
        tls: what redis-py is told of TLS, of Sentinels too.
        password: takes the place of the address's; not shown.
        sentinel_password: of the Sentinels; not shown.
    """

    url: str = field(repr=False)
    sentinels: tuple[str, ...] = ()
    tls: Mapping[str, Any] = field(default_factory=dict)
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address for messages."""
        return without_credentials(self.url)


def redis_place(table: TableSettings, environment: Mapping[str, str]) -> RedisPlace:
    """Where the table's Redis is; REDIS_USERNAME goes before the address's user.

    Passwords come from REDIS_PASSWORD and REDIS_SENTINEL_PASSWORD.

    Args:
        table: with a Redis.
        environment: of the process.
    """
    url, user = table.redis_url or "", environment.get("REDIS_USERNAME")
    return RedisPlace(
        as_user(url, user) if user else url,
        table.sentinels,
        redis_options(url, table.tls),
        environment.get("REDIS_PASSWORD"),
        environment.get("REDIS_SENTINEL_PASSWORD"),
    )
