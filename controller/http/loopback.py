"""Which addresses reach this machine only; pure."""

from __future__ import annotations

import ipaddress


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
