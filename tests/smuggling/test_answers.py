"""Each ambiguous answer of an engine, over real sockets: whole for the client, or clearly not; nothing left over."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.smuggling.answers import ANSWERS, SILENT, AnswerCase, Gets
from tests.smuggling.readers import Answer, h11_answers
from tests.smuggling.wire import GAP_S, OK, Arrival, Bench, Client, Reply, bench

NEVER_EJECTED = {"suspect_after": 100, "eject_after": 100}
HASTY = {"first_byte_s": 0.4, "inter_chunk_s": 0.4}


@pytest.fixture(scope="module")
def served() -> Iterator[Bench]:
    with bench(health=NEVER_EJECTED) as found:
        yield found
        found.wait(lambda: found.router.in_flight() == 0, "a slot is still held")
        assert not found.problems


@pytest.fixture(scope="module")
def hasty() -> Iterator[Bench]:
    with bench(health=NEVER_EJECTED, timeouts=HASTY) as found:
        yield found
        found.wait(lambda: found.router.in_flight() == 0, "a slot is still held")
        assert not found.problems


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case.name)
def test_an_answer_is_whole_or_clearly_not(served: Bench, case: AnswerCase) -> None:
    # Twice, because a router may know a head from the first time.
    for _ in range(2):
        check(served, case)


@pytest.mark.parametrize("case", SILENT, ids=lambda case: case.name)
def test_silence_is_no_end_of_an_answer(hasty: Bench, case: AnswerCase) -> None:
    check(hasty, case)


def check(served: Bench, case: AnswerCase) -> None:
    served.engine.script = lambda arrival: Reply(case.pieces, case.end) if arrival.target == b"/v1/case" else OK
    with Client(served.port) as client:
        client.send([b"%b /v1/case HTTP/%b\r\nHost: a\r\n\r\n" % (case.method, case.version)])
        client.read(lambda raw: h11_answers(raw, [case.method], is_ended=False).statuses != [] and is_whole(raw, case))
        if len(case.pieces) > 1:
            # What comes late must have come before the next request.
            time.sleep(3 * GAP_S)
        used = served.engine.arrivals[-1].connection
        after = [] if client.is_ended else ask(served, client)
        found = h11_answers(client.received, [case.method, b"GET"], is_ended=client.is_ended, is_reset=client.is_reset)
    assert not found.is_refused
    check_answer(case, found.answers[0] if found.answers else Answer())
    assert [answer.status for answer in found.answers[1:]] == [200] * len(after)
    assert all(answer.body == b"{}" and answer.is_complete for answer in found.answers[1:])
    check_next(served, case, used)
    assert not served.problems


def is_whole(raw: bytes, case: AnswerCase) -> bool:
    return h11_answers(raw, [case.method], is_ended=False).answers[0].is_complete


def ask(served: Bench, client: Client) -> list[Arrival]:
    """A plain request on the same connection, which must end it."""
    before = len(served.engine.arrivals)
    client.send([b"GET /v1/after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
    client.read()
    return served.engine.arrivals[before:]


def check_answer(case: AnswerCase, answer: Answer) -> None:
    if not answer.is_complete:
        got = Gets.BROKEN
    elif answer.get(b"x-wattroute-reason"):
        got = Gets.FAILED
    else:
        got = Gets.WHOLE
    assert got in case.gets
    if got is Gets.FAILED:
        assert answer.status in (502, 504)
    if got is Gets.WHOLE:
        assert (answer.status, answer.body, tuple(answer.interim)) == (case.status, case.body, case.interim)
        names = {name for name, _ in answer.fields}
        assert not names & set(case.absent)
        assert set(case.present) <= set(answer.fields)


def check_next(served: Bench, case: AnswerCase, used: int) -> None:
    """A request of somebody else gets its own answer; over another connection if there was anything to doubt."""
    with Client(served.port) as client:
        (arrival,) = ask(served, client)
        (answer,) = h11_answers(client.received, [b"GET"], is_ended=True).answers
    assert (answer.status, answer.body) == (200, b"{}")
    if case.is_reused is not None:
        assert (arrival.connection == used) is case.is_reused
