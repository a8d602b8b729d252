import asyncio

import aiohttp
import pytest
from aiohttp import web

from controller.http.bounded_body import read_body
from tests.fakes.http_stub import http_stub


class TooLarge(Exception):
    pass


async def test_a_body_that_comes_in_pieces_is_read_whole():
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"one ", b"two ", b"three"):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", slow)
        async with session.get(stub.url) as response:
            assert await read_body(response, 100, TooLarge) == b"one two three"


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000])
async def test_a_body_up_to_the_bound_is_taken(size):
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", "x" * size)
        async with session.get(stub.url) as response:
            assert len(await read_body(response, 100_000, TooLarge)) == size


async def test_one_byte_more_is_the_callers_own_error():
    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", "x" * 100_001)
        async with session.get(stub.url) as response:
            with pytest.raises(TooLarge, match=r"^more than 100000 bytes$"):
                await read_body(response, 100_000, TooLarge)


async def test_an_endless_body_ends():
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 4096)

    async with http_stub() as stub, aiohttp.ClientSession() as session:
        stub.set("/", endless)
        with pytest.raises(TooLarge):
            async with session.get(stub.url) as response:
                await read_body(response, 10_000, TooLarge)
