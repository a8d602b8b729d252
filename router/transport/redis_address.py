"""The address of a Redis: what it may hold, and where a password may be sent. Pure.

No message shows an address as it is written, since it may hold a password.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from router.transport.loopback import is_loopback, readable

_FORM = "this is not the address of a Redis; write redis://HOST:PORT/DB"
_SCHEMES = ("redis", "rediss", "unix")
_OF_THE_ADDRESS = frozenset(("username", "password", "host", "port", "path"))
"""Options by which redis-py takes the address itself from the query."""


def check_redis_url(value: str) -> str:
    """The address as it is, fit for use.

    Raises:
        ValueError: it is none, or it holds credentials that others could read on their way.
    """
    parts = _split(value)
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if any(name.startswith("ssl") for name in options):
        raise ValueError("TLS is not set up in the address; write rediss://HOST:PORT/DB and the files under tls")
    if not _OF_THE_ADDRESS.isdisjoint(options):
        raise ValueError(
            "host and credentials stand before the query; write rediss://USER@HOST:PORT/DB, and the password into "
            "REDIS_PASSWORD"
        )
    if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(
            "in an address the / ? and # of a password are written %2F %3F and %23; better, write the password into "
            "REDIS_PASSWORD"
        )
    if (parts.username or parts.password) and not is_private_redis(value):
        raise ValueError(readable("the credentials in the address", "rediss"))
    return value


def is_private_redis(url: str) -> bool:
    """Whether nobody reads along on the way: over TLS, or within this machine; without a host it is this machine."""
    parts = _split(url)
    return parts.scheme != "redis" or is_loopback(parts.hostname or "localhost")


def refuse_readable_password(url: str, password: str | None) -> None:
    """Refuse to send REDIS_PASSWORD where others could read it.

    Raises:
        ValueError: the address, which is not shown, is plain Redis on another machine.
    """
    if password and not is_private_redis(url):
        raise ValueError(f"table.redis_url: {_split(url).hostname}: {readable('REDIS_PASSWORD', 'rediss')}")


def without_password(url: str) -> str:
    """The address with its user alone: of two passwords redis-py takes the address's, and ours is to be the other."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}@{place}").geturl() if at else url


def as_user(url: str, name: str) -> str:
    """The address with this user in place of its own; of two names, too, redis-py takes the address's."""
    parts = urlsplit(url)
    credentials, _, place = parts.netloc.rpartition("@")
    _, colon, password = credentials.partition(":")
    return parts._replace(netloc=f"{quote(name, safe='')}{colon}{password}@{place}").geturl()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(_FORM) from None  # the cause shows a part of the address
    if parts.scheme not in _SCHEMES:
        raise ValueError(_FORM)
    return parts
