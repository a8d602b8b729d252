import asyncio
import base64
import contextlib

import aiohttp
import pytest

from controller.http.forward_proxy import by_proxy

PROXIES = {"HTTPS_PROXY": "http://proxy.example:3128", "HTTP_PROXY": "http://plain.example:3128"}
OUTSIDE = "https://vtn.example/openadr3/3.1.0"


def shown(url, **environment):
    return str(by_proxy(url, environment).get("proxy"))


def test_what_is_outside_is_reached_by_the_proxy_of_its_scheme():
    assert shown(OUTSIDE, **PROXIES) == "http://proxy.example:3128"
    assert shown("http://vtn.example/", **PROXIES) == "http://plain.example:3128"
    assert by_proxy(OUTSIDE, {}) == {}
    assert by_proxy("http://vtn.example/", {"HTTPS_PROXY": "http://proxy.example:3128"}) == {}


@pytest.mark.parametrize(
    ("without", "is_direct"),
    [
        ("vtn.example", True),
        (".example", True),
        ("example,other", True),
        ("vtn.example:443", False),
        ("vtn.example:8443", True),
        ("*", True),
        ("*.example", True),
        ("VTN.Example", True),
        ("10.0.0.0/8, .svc", False),
        ("tn.example", False),
        ("", False),
    ],
)
def test_what_no_proxy_names_is_reached_directly(without, is_direct):
    assert (by_proxy("https://vtn.example:8443/", {**PROXIES, "NO_PROXY": without}) == {}) is is_direct


@pytest.mark.parametrize(
    ("without", "is_direct"), [("10.0.0.0/8", True), ("10.1.2.3", True), ("10.1.2.4", False), ("192.0.2.0/24", False)]
)
def test_addresses_are_known_by_their_networks_too(without, is_direct):
    assert (by_proxy("https://10.1.2.3/", {**PROXIES, "no_proxy": without}) == {}) is is_direct


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_is_reached_directly_as_tokens_may_go_to_it_in_the_clear(host):
    assert by_proxy(f"http://{host}:8090/", PROXIES) == {}


def test_small_letters_go_first_and_an_empty_variable_is_none():
    assert shown(OUTSIDE, https_proxy="http://small:1", HTTPS_PROXY="http://capital:1") == "http://small:1"
    assert shown(OUTSIDE, https_proxy="", HTTPS_PROXY="http://capital:1") == "http://capital:1"
    assert shown(OUTSIDE, https_proxy="proxy:3128") == "http://proxy:3128"


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "http://proxy:port"])
def test_what_is_no_address_of_a_proxy_is_refused(proxy):
    with pytest.raises(ValueError):  # noqa: PT011 - the last one is told by the parser of addresses
        by_proxy(OUTSIDE, {"HTTPS_PROXY": proxy})


@contextlib.asynccontextmanager
async def proxy_that_keeps_heads():
    """A proxy that refuses; its address without the scheme, and the heads that it was sent."""
    heads = []

    async def take(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines())
        writer.write(b"HTTP/1.1 407 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_request_goes_by_it_and_its_password_to_it_alone(scheme):
    async with proxy_that_keeps_heads() as (place, heads), aiohttp.ClientSession() as session:
        where = by_proxy(f"{scheme}://vtn.example/told", {f"{scheme}_proxy": f"http://me:s%40cret@{place}"})
        assert "cret" not in str(where["proxy"])
        with contextlib.suppress(aiohttp.ClientHttpProxyError):
            async with session.get(f"{scheme}://vtn.example/told", **where) as answer:
                assert (scheme, answer.status) == ("http", 407)
    [head] = heads
    asked = "get http://vtn.example/told http/1.1" if scheme == "http" else "connect vtn.example:443 http/1.1"
    assert head[0] == asked
    assert f"proxy-authorization: basic {base64.b64encode(b'me:s@cret').decode().lower()}" in head
    assert not [line for line in head if line.startswith("authorization:")]
