import asyncio
import json
import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from controller.dashboard import board as board_module
from controller.dashboard.board import Board
from controller.dashboard.pages import STATIC, Pages
from controller.loop.status import Status
from controller.signals.latency import Latency
from tests.fakes.controller_parts import NOW_S, observation, site


@pytest.fixture
async def page():
    board = Board(site(), "act", Latency, 15.0)
    app = web.Application()
    Pages(board).add_to(app)
    async with TestClient(TestServer(app)) as client:
        yield client, board
        board.close()


def take(board, second=0):
    board.take(Status(observation(NOW_S + second), None, (), 0.0))


async def test_the_page_and_every_file_it_names_are_served(page):
    client, _ = page
    answer = await client.get("/")
    html = await answer.text()
    assert answer.status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    names = set(re.findall(r"/static/([a-z.]+)", html))
    for name in ("page.js", "chart.js"):
        names |= set(re.findall(r'from "\./([a-z.]+)"', (STATIC / name).read_text()))
    assert names == {path.name for path in STATIC.iterdir()} - {"index.html"}
    for name in names:
        assert (await client.get(f"/static/{name}")).status == 200


async def test_nothing_on_the_page_comes_from_elsewhere():
    for path in STATIC.iterdir():
        addresses = set(re.findall(r"https?://[^\s\"')]+", path.read_text()))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path


async def test_every_element_the_script_looks_for_exists():
    script, html = (STATIC / "page.js").read_text(), (STATIC / "index.html").read_text()
    looked_for = set(re.findall(r'byId\("([a-z-]+)"\)', script)) | set(re.findall(r'figure\("([a-z-]+)"', script))
    assert looked_for
    assert looked_for <= set(re.findall(r'id="([a-z-]+)"', html))


@pytest.mark.parametrize("name", ["..%2Fpages.py", "absent.js", "..%2F..%2Fapp.py"])
async def test_only_the_pages_own_files_can_be_had(page, name):
    assert (await page[0].get(f"/static/{name}")).status == 404


async def test_state_and_history(page):
    client, board = page
    assert (await client.get("/api/state")).status == 503
    take(board)
    assert (await (await client.get("/api/state")).json())["now_s"] == NOW_S
    assert (await (await client.get("/api/history")).json())["columns"]["now_s"] == [NOW_S]


async def test_the_stream_sends_each_snapshot_and_ends_with_the_board(page):
    client, board = page
    take(board)
    async with client.get("/api/stream") as answer:
        assert answer.content_type == "text/event-stream"
        seen = []
        for second in (1, 2):
            seen.append(json.loads((await answer.content.readuntil(b"\n\n")).removeprefix(b"data: "))["now_s"])
            take(board, second)
        board.close()
        async with asyncio.timeout(5):
            rest = await answer.content.read()
    assert seen == [NOW_S, NOW_S + 1]
    assert rest == b"" or rest.endswith(b"\n\n")


async def test_too_many_pages_are_refused(page, monkeypatch):
    client, board = page
    take(board)
    monkeypatch.setattr(board_module, "MAX_SUBSCRIBERS", 1)
    async with client.get("/api/stream") as first:
        await first.content.readuntil(b"\n\n")
        async with client.get("/api/stream") as second:
            assert second.status == 503


async def test_a_closed_page_frees_its_place(page, monkeypatch):
    client, board = page
    take(board)
    monkeypatch.setattr(board_module, "MAX_SUBSCRIBERS", 1)
    async with client.get("/api/stream") as first:
        await first.content.readuntil(b"\n\n")
    async with asyncio.timeout(5):
        for second in range(1, 200):
            take(board, second)
            await asyncio.sleep(0.01)
            async with client.get("/api/stream") as again:
                if again.status == 200:
                    return
    pytest.fail("the place was not freed")
