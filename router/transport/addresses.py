"""Addresses as they are written in the configuration, taken apart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

Address = tuple[str, int]
"""Host and port of an engine; the path of its socket and 0 where it listens on a Unix socket."""

UNIX = "unix:"
MAX_PATH_BYTES = 107
"""Longest path of a Unix socket: sun_path of sockaddr_un has 108 bytes with its NUL, unix(7)."""
REMEDY = "write http://HOST:PORT, https://HOST:PORT or unix:/PATH"


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine listens.

    Attributes:
        address: host and port; path and 0 for a Unix socket.
        is_tls: whether it speaks TLS.
    """

    address: Address
    is_tls: bool

    @property
    def host(self) -> str:
        """Name or number of the host; a path for a Unix socket."""
        return self.address[0]

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address[1] == 0


def parse_engine(text: str) -> EngineAddress:
    """An engine's address.

    Raises:
        ValueError: it is none; the text names the remedy.
    """
    if text.startswith(UNIX):
        return EngineAddress((unix_path(text), 0), is_tls=False)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Its cause may show a part of a password.
        raise ValueError(f"{text!r} has no usable address; {REMEDY}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise ValueError(f"{text!r} is not an engine's address; {REMEDY}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{text!r} has more than host and port; {REMEDY}")
    if not _may_be_asked(parts.hostname):
        raise ValueError(
            f"{text!r:.300} names a host that cannot be looked up: between its dots stand 1 to 63 characters each, "
            f"such as DNS knows; {REMEDY}"
        )
    return EngineAddress((parts.hostname, port), is_tls=parts.scheme == "https")


def _may_be_asked(host: str) -> bool:
    """Whether a resolver takes it: Python encodes every host so before it asks."""
    try:
        return ":" in host or bool(host.encode("idna"))
    except UnicodeError:
        return False


def unix_path(text: str) -> str:
    """The path of ``unix:/PATH``.

    Raises:
        ValueError: it is no absolute path, or longer than the system allows.
    """
    path = text.removeprefix(UNIX)
    if not text.startswith(UNIX) or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f"{text!r} is not a Unix socket; write unix:/PATH with an absolute path")
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ValueError(
            f"{text!r} is longer than the {MAX_PATH_BYTES} bytes a Unix socket's path may have; shorten it"
        )
    return path


def is_number(host: str) -> bool:
    """Whether `host` is an IP address and not a name."""
    return ":" in host or host.replace(".", "").isdigit()


def shown(host: str, port: int) -> str:
    """An address as one text: a Unix socket by its path, an IPv6 address in brackets (RFC 3986 §3.2.2)."""
    if host.startswith("/"):
        return UNIX + host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
