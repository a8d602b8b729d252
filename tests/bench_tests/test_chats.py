"""What becomes of chats, and how it is told."""

from __future__ import annotations

import json

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.bench import chats
from tests.bench.chats import Chat, Ended, Span

ASKED = Chat("standard", 5, 3, stream=True)
PLAIN = Chat("standard", 5, 3, stream=False)
SPAN = Span(100.0, 145.0, can_be_met=True)
DEEP = Span(100.0, 145.0, can_be_met=False)


def stream(tokens: int, end: bytes = b"data: [DONE]\n\n") -> bytes:
    usage = {"choices": [], "usage": {"completion_tokens": tokens}}
    return b'data: {"choices": []}\n\ndata: ' + json.dumps(usage).encode() + b"\n\n" + end


@pytest.mark.parametrize(
    ("chat", "body", "lack"),
    [
        (ASKED, stream(3), None),
        (ASKED, stream(2), "2 of 3 tokens"),
        (ASKED, stream(3, b""), "cut off"),
        (PLAIN, b'{"usage": {"completion_tokens": 3}}', None),
        (PLAIN, b'{"usage": {"completion_tokens": 1}}', "1 of 3 tokens"),
        (PLAIN, b"{}", "None of 3 tokens"),
    ],
)
def test_an_answer_is_whole_only_with_all_its_tokens(chat: Chat, body: bytes, lack: str | None) -> None:
    assert chats.lack(chat, body) == lack


async def answered(body: bytes, status: int = 200, **headers: str) -> Ended:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with TestServer(app) as server, ClientSession() as session:
        return await chats.ask(session, str(server.make_url("")).rstrip("/"), PLAIN)


async def test_a_refusal_is_told_by_the_routers_word() -> None:
    ended = await answered(b"later", 503, x_wattroute_reason="wait_too_long", retry_after="7")
    assert (ended.status, ended.cause, ended.retry_after_s) == (503, "wait_too_long", 7.0)
    assert ended.detail == "later"


async def test_what_is_no_answer_is_told_by_its_kind() -> None:
    assert (await answered(b"not JSON")).cause == "JSONDecodeError"
    async with ClientSession() as session:
        ended = await chats.ask(session, "http://127.0.0.1:1", PLAIN)
    assert (ended.status, ended.cause) == (0, "ClientConnectorError")


def failed(class_id: str, sent_s: float, status: int = 503, retry_after_s: float | None = 1.0) -> Ended:
    chat = Chat(class_id, 5, 3, stream=True)
    return Ended(chat, sent_s, sent_s + 30.0, None, status, "wait_too_long", retry_after_s)


@pytest.mark.parametrize(
    ("ended", "span", "verdict"),
    [
        (failed("flex", 110.0), SPAN, "held"),
        (failed("flex", 150.0), SPAN, "held"),
        (failed("flex", 110.0, retry_after_s=None), SPAN, "defect"),
        (failed("flex", 110.0, status=500), SPAN, "defect"),
        (failed("flex", 20.0), SPAN, "defect"),
        (failed("standard", 110.0), SPAN, "defect"),
        (failed("standard", 110.0), DEEP, "no room"),
        (failed("standard", 110.0, status=502), DEEP, "defect"),
        (failed("standard", 150.0), DEEP, "defect"),
    ],
)
def test_who_may_be_refused_and_when(ended: Ended, span: Span, verdict: str) -> None:
    assert chats.verdict(ended, [span]) == verdict


def test_the_phase_is_that_of_the_last_call() -> None:
    later = Span(300.0, 345.0, can_be_met=True)
    found = [chats.phase([SPAN, later], time_s) for time_s in (99.0, 100.0, 109.0, 110.0, 145.0, 305.0, 345.0)]
    before, first, call, after = chats.PHASES
    assert found == [before, first, first, call, after, first, after]


def test_all_chats_are_told_by_class_and_phase() -> None:
    whole = Ended(Chat("standard", 5, 3, stream=True), 50.0, 52.0, 50.5, 200)
    plain = Ended(Chat("standard", 5, 3, stream=False), 50.0, 59.0, 59.0, 200)
    told = chats.told([whole, plain, failed("standard", 104.0), failed("flex", 104.0)], [SPAN])
    rows = {(row["class"], row["sent"]): row for row in told["rows"]}
    assert rows["standard", "before"]["first_token_s"] == {"p50": 0.5, "p99": 0.5}, "a plain answer has no first token"
    assert rows["standard", "first 10 s"]["failed"] == {"503 wait_too_long, defect": 1}
    assert rows["flex", "first 10 s"]["failed"] == {"503 wait_too_long, held": 1}
    assert (told["chats"], told["failed"], told["defects"]) == (4, 2, 1)
    assert told["details"] == ["standard: 503 wait_too_long: "]
    assert rows["flex", "after"]["chats"] == 0
