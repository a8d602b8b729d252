"""The proxy by which what is outside is reached, as the environment names it: HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

VTNs, publishers and webhooks are asked by it. What is the site's own, such as engines, routers, meters and the API
server, is reached directly, whatever the environment says.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import urlsplit

from yarl import URL

from router.transport.loopback import is_loopback


class ProxyOptions(TypedDict, total=False):
    """Options of an aiohttp request; empty where it goes directly."""

    proxy: URL
    proxy_headers: dict[str, str]


def by_proxy(url: str, environment: Mapping[str, str]) -> ProxyOptions:
    """How an address is reached; this machine is without a proxy, as tokens may go to it in the clear.

    Raises:
        ValueError: the address, or that of the proxy, is none.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return {}
    told, without = _told(f"{parts.scheme}_proxy", environment), _told("no_proxy", environment)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not told or any(_covers(each, parts.hostname or "", port) for each in without.lower().replace(",", " ").split()):
        return {}
    proxy = URL(told if "://" in told else f"http://{told}")
    if proxy.host is None or proxy.scheme not in ("http", "https"):
        raise ValueError(f"{parts.scheme.upper()}_PROXY is no address of a proxy; write http://HOST:PORT")
    if proxy.user is None:
        return {"proxy": proxy}
    pair = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
    # aiohttp sends it on as Proxy-Authorization, and not to whoever is asked.
    return {"proxy": proxy.with_user(None), "proxy_headers": {"Authorization": f"Basic {pair}"}}


def _told(name: str, environment: Mapping[str, str]) -> str:
    """A variable in small letters, which goes first, or in capital ones."""
    return environment.get(name) or environment.get(name.upper()) or ""


def _covers(place: str, host: str, port: int) -> bool:
    """Whether a word of NO_PROXY is of a host: `*`, a name or an upper one, an address or a network; or its port."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(place, strict=False)
    name, _, of_port = place.partition(":")
    if of_port and of_port != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return not name or host == name or host.endswith(f".{name}")
