import asyncio

import aiohttp
import pytest
from aiohttp import web

from controller.errors import SignalError
from controller.signals import http_client
from tests.fakes.http_stub import closed_url, http_stub


async def test_text_and_json_of_a_good_answer():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/text", "hello")
        stub.set("/json", {"a": 1})
        assert await http_client.get_text(session, f"{stub.url}/text", 1.0) == "hello"
        assert await http_client.get_json(session, f"{stub.url}/json", 1.0) == {"a": 1}


async def test_every_failure_is_a_signal_error_that_names_the_address_and_the_reason(monkeypatch):
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def not_utf8(_: web.Request) -> web.Response:
        return web.Response(body=b"\xff\xfe")

    async def drop(request: web.Request) -> web.Response:
        request.transport.abort()
        return web.Response()

    monkeypatch.setattr(http_client, "MAX_BODY_BYTES", 1000)
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/never", never)
        stub.set("/latin", not_utf8)
        stub.set("/drop", drop)
        stub.set("/large", "x" * 2000)
        stub.set("/broken", "{")
        for path, reason in {
            "/absent": "status 404",
            "/never": "no answer within 0.2 s",
            "/latin": "not UTF-8 at byte 0",
            "/drop": "Disconnected",
            "/large": "more than 1000 bytes",
            "/broken": "not JSON",
        }.items():
            with pytest.raises(SignalError, match=reason) as caught:
                await http_client.get_json(session, stub.url + path, 0.2)
            assert caught.value.source == stub.url + path
        with pytest.raises(SignalError, match="cannot connect"):
            await http_client.get_text(session, closed_url(), 1.0)
        with pytest.raises(SignalError):
            await http_client.get_text(session, "http://[nonsense", 1.0)


async def test_why_there_is_no_connection_is_told():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        for url, told in (
            (closed_url(), r"cannot connect \(Connection refused\)"),
            (stub.url.replace("http:", "https:"), r"cannot connect \(.*SSL"),
            ("http://no-such-host.invalid", r"cannot connect \((?!Unknown error)\w"),
        ):
            with pytest.raises(SignalError, match=told):
                await http_client.get_text(session, url, 5.0)
