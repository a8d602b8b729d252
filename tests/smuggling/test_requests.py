"""Each ambiguous request, over a real socket: refused with nothing at the engine, or forwarded without ambiguity."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.smuggling.readers import Message, h11_answers, h11_requests, llhttp_requests
from tests.smuggling.requests import CASES, CHUNKED, HELLO_CHUNKS, SMUGGLED, Case, End, post
from tests.smuggling.wire import Arrival, Bench, Client, bench

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
LLHTTP_METHODS = re.compile(rb"GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|PURGE|M-SEARCH")
NOT_SPLIT = 4000
"""Inputs beyond this size are not sent byte by byte."""


@pytest.fixture(scope="module")
def served() -> Iterator[Bench]:
    with bench() as found:
        yield found
        found.wait(lambda: found.router.in_flight() == 0, "a slot is still held")
        assert not found.problems
        assert not found.engine.unread()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_is_refused_or_forwarded_without_ambiguity(served: Bench, case: Case) -> None:
    # Twice, because a router may know a head from the first time.
    for _ in range(2):
        check(served, case, [case.raw])


@pytest.mark.parametrize("case", CASES[::5], ids=lambda case: case.name)
def test_the_same_byte_by_byte(served: Bench, case: Case) -> None:
    if len(case.raw) <= NOT_SPLIT:
        check(served, case, [case.raw[at : at + 1] for at in range(len(case.raw))])


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: 99999999999\r\n\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    ],
)
def test_a_refusal_of_head_has_no_body(served: Bench, framing: bytes, status: int) -> None:
    with Client(served.port) as client:
        client.send([b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\n" + framing])
        found = h11_answers(client.read(), [b"HEAD"], is_ended=True)
    assert not found.is_refused
    assert found.statuses == [status]


BODIES = {
    "no body": ((), b""),
    "an empty body": ((b"Content-Length: 0",), b""),
    "a length": ((b"Content-Length: 5",), b"hello"),
    "chunks": ((CHUNKED,), HELLO_CHUNKS),
    "a request as its body": ((b"Content-Length: %d" % len(SMUGGLED),), SMUGGLED),
    "an expectation": ((b"Content-Length: 5", b"Expect: 100-continue"), b"hello"),
}


@pytest.mark.parametrize(("fields", "body"), BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize(
    ("line", "fields_of_line", "status"),
    [
        (b"GET /health HTTP/1.1", (), 200),
        (b"HEAD /health HTTP/1.1", (), 200),
        (b"POST /sleep HTTP/1.1", (), 404),
        (b"GET /metrics HTTP/1.1", (), 404),
        (b"POST /v1/completions HTTP/1.1", (b"x-wattroute-class: nobody's",), 400),
    ],
)
def test_a_request_that_the_router_answers_itself_takes_its_body_with_it(
    served: Bench,
    line: bytes,
    fields_of_line: tuple[bytes, ...],
    status: int,
    fields: tuple[bytes, ...],
    body: bytes,
) -> None:
    before = len(served.engine.arrivals)
    with Client(served.port) as client:
        client.send([post(*fields_of_line, *fields, line=line, body=body), SENTINEL])
        found = h11_answers(client.read(), [line.split()[0], b"GET"], is_ended=True)
    assert not found.is_refused
    assert found.statuses == [status, 200]
    assert [arrival.target for arrival in served.engine.arrivals[before:]] == [b"/sentinel"]


def check(served: Bench, case: Case, pieces: list[bytes]) -> None:
    engine = served.engine
    before = len(engine.arrivals)
    methods = [sent.method for sent in case.reaches]
    with Client(served.port) as client:
        client.send(pieces)
        if case.end is End.WAITING:
            answered = len(methods)
            client.read(lambda raw: len(h11_answers(raw, methods, is_ended=False).statuses) >= answered)
            client.finish()
        else:
            client.send([SENTINEL])
            methods = [*methods, b"GET"]
        raw = client.read()
        assert not client.is_reset or case.end is not End.OPEN
    arrivals = engine.arrivals[before:]
    if case.end is End.OPEN:
        assert arrivals.pop().target == b"/sentinel"
    assert [(arrival.method, arrival.target, arrival.body) for arrival in arrivals] == list(case.reaches)
    assert not engine.unread()
    for arrival in arrivals:
        check_forwarded(case, arrival)
    check_answers(case, raw, methods, is_reset=client.is_reset)


def check_forwarded(case: Case, arrival: Arrival) -> None:
    """One request for every reader, framed by one plain length or by none."""
    expected = Message(arrival.method, arrival.target, arrival.body)
    assert h11_requests(arrival.raw).requests == [expected]
    if LLHTTP_METHODS.fullmatch(arrival.method):
        assert llhttp_requests(arrival.raw).requests == [expected]
    names = [line.partition(b":")[0].lower() for line in arrival.lines]
    assert b"transfer-encoding" not in names
    assert names.count(b"content-length") == (1 if arrival.body else names.count(b"content-length") & 1)
    assert not set(case.absent) & set(names)
    if arrival.target != b"/smuggled":
        assert set(case.present) <= set(arrival.lines)


def check_answers(case: Case, raw: bytes, methods: list[bytes], *, is_reset: bool) -> None:
    """One answer to each request, then a refusal where one is due, and nothing else."""
    found = h11_answers(raw, methods, is_ended=True, is_reset=is_reset)
    assert not found.is_refused
    served, rest = found.answers[: len(case.reaches)], found.answers[len(case.reaches) :]
    assert [answer.status for answer in served] == [200] * len(case.reaches)
    assert all(answer.is_complete for answer in served)
    if case.end is End.OPEN:
        assert [answer.status for answer in rest] == [200]
    elif case.end is End.REFUSED:
        (refusal,) = rest
        assert refusal.status in case.statuses
        assert refusal.get(b"connection") == b"close"
        assert refusal.get(b"x-wattroute-reason")
        assert json.loads(refusal.body)["error"]["code"] == refusal.status
    elif case.end is End.CLOSED:
        assert not rest
    else:
        assert not raw.count(b"HTTP/1.1 200") > len(case.reaches)
