"""The router beside two independent parsers: it may refuse what they read, but never reads anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.smuggling.answers import ANSWERS
from tests.smuggling.readers import (
    Answer,
    Answers,
    Message,
    Reading,
    end_to_end,
    h11_answers,
    h11_requests,
    llhttp_requests,
)
from tests.smuggling.requests import CASES, CHUNKED, HELLO_CHUNKS, SMUGGLED, get, post
from tests.smuggling.virtual import VirtualRouter, virtual_router
from tests.smuggling.wire import Reply

PIECES = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x80",
    b":",
    b",",
    b";",
    b"0",
    b"5",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"hello",
    b"chunked",
    b"identity",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding",
    b"Content-Length",
    b"Connection: close\r\n",
    b"Connection: content-length\r\n",
    b"Expect: 100-continue\r\n",
    b" folded\r\n",
    SMUGGLED,
)
"""What is put into good messages, or in place of parts of them."""

GOOD_REQUESTS = (
    get(),
    get(b"Content-Length: 5") + b"hello",
    post(b"Content-Length: 5", body=b"hello"),
    post(b"Content-Length: 0"),
    post(CHUNKED, body=HELLO_CHUNKS),
    post(CHUNKED, body=b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"),
    post(b"content-length: 5", b"X: y", b"Connection: keep-alive, X", body=b"hello"),
    get(line=b"GET /v1/x HTTP/1.0"),
)
GOOD_ANSWERS = tuple(b"".join(case.pieces) for case in ANSWERS if case.is_reused)


@st.composite
def spoiled(draw: st.DrawFn, good: tuple[bytes, ...]) -> bytes:
    """One to three good messages, with up to four parts of them replaced."""
    raw = b"".join(draw(st.lists(st.sampled_from(good), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(raw)))
        gone = draw(st.integers(0, 4) | st.just(0))
        raw = raw[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=2)) + raw[at + gone :]
    return raw


cuts = st.lists(st.integers(1, 60), max_size=12)
"""Sizes of the pieces in which bytes arrive; the rest comes at once."""


def serve(router: VirtualRouter, raw: bytes, sizes: list[int]) -> Answers:
    """Bring a client's bytes to the router; what it answered."""
    client = router.connect()
    client.send(raw)
    for size in sizes:
        client.deliver(size)
        router.settle()
    client.deliver()
    router.settle()
    methods = [arrival.method for arrival in router.arrivals]
    found = h11_answers(bytes(client.received), [*methods, b"GET"], is_ended=client.is_ended)
    assert not found.is_refused
    assert [answer.status for answer in found.answers[: len(methods)]] == [200] * len(methods)
    is_refused = len(found.answers) > len(methods)
    assert client.is_ended or not is_refused
    found.is_refused = client.is_ended
    return found


def compare(got: list[Message], reading: Reading, *, is_ended: bool) -> None:
    """The requests the engine got are those of the reading; all of them, where the router did not end it."""
    common = len(reading.requests) if reading.is_limited else len(got)
    assert got[:common] == reading.requests[: min(common, len(got))]
    assert len(got) >= len(reading.requests) or is_ended


@pytest.mark.parametrize("read", [h11_requests, llhttp_requests])
@given(raw=spoiled(GOOD_REQUESTS), sizes=cuts)
@settings(max_examples=400)
def test_requests_begin_and_end_where_every_reader_sees_them(
    read: Callable[[bytes], Reading], raw: bytes, sizes: list[int]
) -> None:
    with virtual_router() as router:
        is_ended = serve(router, raw, sizes).is_refused
        got = [Message(arrival.method, arrival.target, arrival.body) for arrival in router.arrivals]
        assert not router.unread()
    compare(got, read(raw), is_ended=is_ended)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_corpus_is_read_as_every_reader_does(case: object) -> None:
    raw = case.raw  # type: ignore[attr-defined]
    sizes = [1] * len(raw) if len(raw) < 2000 else []
    with virtual_router() as router:
        is_ended = serve(router, raw, sizes).is_refused
        got = [Message(arrival.method, arrival.target, arrival.body) for arrival in router.arrivals]
        assert got == list(case.reaches)  # type: ignore[attr-defined]
    for read in (h11_requests, llhttp_requests):
        compare(got, read(raw), is_ended=is_ended)


def answer_through(raw: bytes, method: bytes, sizes: list[int]) -> Answers:
    """What a client reads of an engine's answer, then closed, that comes through the router."""
    pieces, at = [], 0
    for size in [*sizes, len(raw)]:
        pieces.append(raw[at : at + size])
        at += size
    with virtual_router() as router:
        router.script = lambda _: Reply(tuple(piece for piece in pieces if piece), "close")
        client = router.connect()
        client.send(b"%b /v1/x HTTP/1.1\r\nHost: a\r\n\r\n" % method)
        client.deliver()
        router.settle()
        assert len(router.arrivals) == 1
        return h11_answers(bytes(client.received), [method], is_ended=client.is_ended, is_reset=client.is_reset)


def length_of(answer: Answer) -> int | None:
    length = answer.get(b"content-length")
    return None if length is None else int(length)


@given(raw=spoiled(GOOD_ANSWERS), method=st.sampled_from([b"GET", b"HEAD", b"POST"]), sizes=cuts)
@example(raw=b"HTTP/1.1 200 OK\r\n\r\n", method=b"GET", sizes=[])
@settings(max_examples=800)
def test_answers_are_what_a_client_of_the_engine_reads(raw: bytes, method: bytes, sizes: list[int]) -> None:
    check_answer(raw, method, sizes)


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
def test_the_corpus_of_answers_is_what_a_client_of_the_engine_reads(case: object) -> None:
    raw = b"".join(case.pieces)  # type: ignore[attr-defined]
    check_answer(raw, case.method, [1] * len(raw) if len(raw) < 2000 else [])  # type: ignore[attr-defined]


def check_answer(raw: bytes, method: bytes, sizes: list[int]) -> None:
    through = answer_through(raw, method, sizes)
    assert not through.is_refused
    (got,) = through.answers or [Answer()]
    if got.get(b"x-wattroute-reason") or not got.is_complete:
        return
    direct = h11_answers(raw, [method], is_ended=True)
    (meant,) = direct.answers
    assert meant.is_complete
    assert (got.status, got.body) == (meant.status, meant.body)
    told = [field for field in got.fields if not field[0].startswith(b"x-wattroute-")]
    assert end_to_end(told) == end_to_end(meant.fields)
    if got.status != 204:
        assert length_of(got) == length_of(meant)
    assert got.interim == [status for status in meant.interim if status != 100]
