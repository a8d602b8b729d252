"""Which addresses reach this machine only, and to which a secret may be sent, and what is shown of them; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Whether a name or an address reaches this machine only; no other name is looked up, as it may lead elsewhere."""
    return host == "localhost" or is_loopback_address(host)


def is_loopback_address(address: str | None) -> bool:
    """Whether an address is this machine's own, an IPv4 address that IPv6 has mapped included (RFC 4291 §2.5.5.2)."""
    try:
        number = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return (mapped or number).is_loopback


def is_loopback_host(host: str) -> bool:
    """Whether what a Host header says (RFC 9110 §7.2), with or without a port, reaches this machine only."""
    return is_loopback(host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0])


def is_private(url: str) -> bool:
    """Whether nobody reads along on the way to an address: over TLS, or within this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def refuse_readable(urls: Iterable[str], secret: str) -> None:
    """Refuse to send a secret where others could read it.

    Args:
        urls: that it would be sent to; a socket of this machine is ``unix:/PATH``.
        secret: where it is named, such as ``token_file``.

    Raises:
        ValueError: one of them is plain http to another machine.
    """
    for url in urls:
        if not (is_private(url) or url.startswith("unix:/")):
            raise ValueError(f"{without_credentials(url)!r:.200}: {readable(secret)}")


def readable(secret: str, scheme: str = "https") -> str:
    """What is said of a secret that would be sent where others could read it, and the remedy's scheme."""
    return f"{secret} would go there unencrypted; write {scheme}://, or give an address of this machine"


def without_credentials(url: str) -> str:
    """The address without user and password, fit for logs."""
    netloc = urlsplit(url).netloc
    return url.replace(netloc, netloc.rpartition("@")[2], 1) if "@" in netloc else url
