"""The address of a Redis: what it may hold, and where a password may be sent. Pure.

No message shows an address as it is written, since it may hold a password.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from router.transport.loopback import is_loopback, readable

_FORM = "this is not the address of a Redis; write redis://HOST:PORT/DB"
_SCHEMES = ("redis", "rediss", "unix")
_OF_THE_ADDRESS = frozenset(("username", "password", "host", "port", "path"))
"""Options by which redis-py takes the address itself from the query."""
_OPTIONS = frozenset(("db", "protocol", "client_name", "health_check_interval"))
"""Options that may stand there: of others redis-py makes nothing, or something else than what is needed here."""
_COUNTED = ("protocol", "health_check_interval")


def check_redis_url(value: str) -> str:
    """The address as it is, fit for use.

    Raises:
        ValueError: it is none, or it holds credentials that others could read on their way.
    """
    parts = _split(value)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if any(name.startswith("ssl") for name in options):
        raise ValueError("TLS is not set up in the address; write rediss://HOST:PORT/DB and the files under tls")
    if not _OF_THE_ADDRESS.isdisjoint(options):
        raise ValueError(
            "host and credentials stand before the query; write rediss://USER@HOST:PORT/DB, and the password into "
            "REDIS_PASSWORD"
        )
    if "@" in parts.query + parts.fragment + ("" if parts.scheme == "unix" else parts.path):
        raise ValueError(
            "in an address the / ? and # of a password are written %2F %3F and %23; better, write the password into "
            "REDIS_PASSWORD"
        )
    _check_options(options)
    _check_place(parts, options)
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


def master_name(url: str) -> str:
    """The name that Sentinels know the master by, which stands in place of the host; unlike a host's it has a case."""
    return unquote(urlsplit(url).netloc.rpartition("@")[2].partition(":")[0])


def _check_options(options: dict[str, str]) -> None:
    if not options.keys() <= _OPTIONS:
        raise ValueError(f"of options only {', '.join(sorted(_OPTIONS))} may stand in the address; remove the others")
    for name in _COUNTED:
        if name in options and not _is_number(options[name]):
            raise ValueError(f"{name} is {options[name]!r}, which is no number; correct it or leave it out")


def _check_place(parts: SplitResult, options: dict[str, str]) -> None:
    is_socket = parts.scheme == "unix"
    if is_socket and (parts.hostname or not parts.path.strip("/")):
        raise ValueError("the path of a socket begins after two slashes; write unix:///PATH")
    if parts.port == 0:
        raise ValueError(_FORM)
    database = options.get("db", "0" if is_socket else parts.path.strip("/") or "0")
    if not _is_number(database):
        raise ValueError(
            f"{database!r} is no number of a database; write redis://HOST:PORT/0, and tell sites that share it apart "
            "by table.redis_key"
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(_FORM) from None  # the cause shows a part of the address
    if parts.scheme not in _SCHEMES:
        raise ValueError(_FORM)
    return parts
