"""What must hold for any bytes at all, as functions that raise AssertionError where it does not.

Each is run over the corpus of tests/smuggling, over everything a fuzzer has found so far, and by atheris (`make fuzz`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router.http1.chunked import ChunkDecoder, ChunkError, ChunkWatcher
from router.http1.keyed_heads import KeyedReader
from router.http1.request_head import HeadError, RequestHead, engine_message
from router.http1.request_reader import RequestReader
from router.http1.response_head import (
    CHUNKED,
    LENGTH,
    UNTIL_CLOSE,
    AnswerError,
    ResponseHead,
    ResponseReader,
    client_head,
)
from tests.fuzz.feeds import check_feeds
from tests.fuzz.openadr import check_openadr
from tests.smuggling.readers import (
    Message,
    Reading,
    end_to_end,
    h11_answers,
    h11_requests,
    llhttp_requests,
)

MOST_HEADS = 16
KEYS = frozenset({b"authorization", b"x-api-key", b"api-key"})
"""Fields that a router with tenants keeps to itself."""
MOST_BYTES = 2000
"""Bodies of announced lengths beyond this are not made."""
PAYLOAD = b"hello"
CHUNKS = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


def heads_in(data: bytes) -> list[bytes]:
    """The parts of `data` that a proxy would take for heads."""
    return [part + b"\r\n\r\n" for part in data.split(b"\r\n\r\n")[:-1]][:MOST_HEADS]


def check_requests(data: bytes) -> None:
    """A head is refused, or read alike by the router, h11 and llhttp, before and after its rewriting.

    Nor does it matter what the reader has read before.
    """
    for reader in (RequestReader(), KeyedReader(KEYS)):
        for raw in heads_in(data):
            try:
                head = reader.parse(raw)
            except HeadError:
                assert_refused(lambda raw=raw, reader=reader: reader.read(raw), HeadError)
                continue
            known, length = reader.read(raw)
            assert describe_request(known) == describe_request(head)
            assert length == head.length
            if length is None or length <= MOST_BYTES:
                check_request(raw, head, dropped=KEYS if isinstance(reader, KeyedReader) else frozenset())


def describe_request(head: RequestHead) -> tuple[Any, ...]:
    """All that is said of a request, but for its length; fields of different names in any order."""
    return (
        head.method,
        head.target,
        head.is_http10,
        head.keep_alive,
        head.is_chunked,
        head.expects_continue,
        head.is_head,
        {name: value for name, value in head.fields.items() if name != b"content-length"},
        by_name(engine_message(head, None)),
    )


def check_request(raw: bytes, head: RequestHead, *, dropped: frozenset[bytes]) -> None:
    """One request for every reader; what goes on is what came, less what ends at a proxy."""
    if head.is_chunked:
        body, sent = PAYLOAD, CHUNKS
    else:
        body = sent = b"x" * (head.length or 0)
    expected = [Message(head.method, head.target, body)]
    has_body = head.is_chunked or head.length is not None
    rewritten = engine_message(head, body if has_body else None)
    for message in (raw + sent, rewritten):
        assert_reads(h11_requests(message), expected)
        assert_reads(llhttp_requests(message), expected)
    lines = rewritten.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    framing = [line.lower() for line in lines if line[:15].lower() == b"content-length:"]
    assert framing == ([b"content-length: %d" % len(body)] if has_body else [])
    assert not any(line[:18].lower() == b"transfer-encoding:" for line in lines)
    if head.is_http10 and b"host" not in head.fields:
        lines = [line for line in lines if line[:5].lower() != b"host:"]
    came = [field for field in fields_of(raw) if field[0] not in dropped | {b"expect"}]
    assert end_to_end([field_of(line) for line in lines]) == end_to_end(came)


def by_name(raw: bytes) -> list[bytes]:
    """Lines of a head, sorted so that those of one name stay in order."""
    return sorted(raw.split(b"\r\n"), key=lambda line: line.partition(b":")[0].lower())


def fields_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    return [field_of(line) for line in raw[:-4].split(b"\r\n")[1:]]


def field_of(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def assert_reads(reading: Reading, expected: list[Message]) -> None:
    if reading.is_limited:
        assert not reading.requests
    else:
        assert reading.requests == expected
        assert not reading.is_refused


def assert_refused(read: Callable[[], object], error: type[Exception]) -> None:
    try:
        read()
    except error:
        return
    raise AssertionError("taken by a reader that knows other heads, refused by one that knows none")


def check_answers(data: bytes) -> None:
    """An answer's head is refused, or read alike by the router and h11, before and after its rewriting."""
    reader = ResponseReader()
    for raw in heads_in(data):
        try:
            head = ResponseReader().parse(raw)
        except AnswerError:
            assert_refused(lambda raw=raw: reader.read(raw), AnswerError)
            continue
        known, length = reader.read(raw)
        assert describe_answer(known) == describe_answer(head)
        assert length == head.length
        if (length is None or length <= MOST_BYTES) and head.status >= 200:
            check_answer(raw, head)


def describe_answer(head: ResponseHead) -> tuple[Any, ...]:
    """All that is said of an answer, but for its length; fields of different names in any order."""
    return (
        head.status,
        head.is_chunked,
        head.is_bodiless,
        head.keep_alive,
        head.is_event_stream,
        by_name(client_head(head, None)),
    )


def check_answer(raw: bytes, head: ResponseHead) -> None:
    """One answer for a client of the engine and for a client of the router, the same one."""
    framing = head.framing(head.length, to_head=False)
    body = b"x" * (head.length or 0) if framing is LENGTH else PAYLOAD if framing in (CHUNKED, UNTIL_CLOSE) else b""
    sent = CHUNKS if framing is CHUNKED else body
    rewritten = client_head(head, head.length, chunked=framing is CHUNKED, close=True)
    (direct,) = h11_answers(raw + sent, [b"GET"], is_ended=True).answers
    (through,) = h11_answers(rewritten + sent, [b"GET"], is_ended=True).answers
    for answer in (direct, through):
        assert answer.is_complete
        assert (answer.status, answer.body) == (head.status, body)
    assert end_to_end(through.fields) == end_to_end(direct.fields)


def check_chunks(data: bytes) -> None:
    """A chunked body is refused, or has the end and payload that h11 and llhttp see, however it arrives."""
    whole = decode([data])
    assert decode([data[at : at + 1] for at in range(len(data))]) == whole
    assert decode([data[: len(data) // 2], data[len(data) // 2 :]]) == whole
    seen = watch([data])
    assert watch([data[at : at + 1] for at in range(len(data))]) == seen
    if whole is None:
        return
    payload, rest, is_complete = whole
    if is_complete:
        body = data[: len(data) - len(rest)]
        assert watch([body]) is True
        assert_reads(h11_requests(CHUNKED_HEAD + body), [Message(b"POST", b"/", payload)])
        assert_reads(llhttp_requests(CHUNKED_HEAD + body), [Message(b"POST", b"/", payload)])
        assert h11_requests(CHUNKED_HEAD + body[:-1]).requests == []
    else:
        assert seen is not True
        assert h11_requests(CHUNKED_HEAD + data).requests == []
        assert llhttp_requests(CHUNKED_HEAD + data).requests == []


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool] | None:
    """Payload, rest and whether the body is complete; None where it is refused."""
    decoder = ChunkDecoder()
    payload = b""
    try:
        for number, piece in enumerate(pieces):
            payload += b"".join(decoder.feed(piece))
            if decoder.is_complete:
                return payload, decoder.rest + b"".join(pieces[number + 1 :]), True
    except ChunkError:
        return None
    return payload, b"", False


def watch(pieces: list[bytes]) -> bool | None:
    """Whether the body is complete; None where it is refused, or something follows it."""
    watcher = ChunkWatcher()
    watcher.begin()
    try:
        for piece in pieces:
            if watcher.is_complete:
                return None
            watcher.feed(piece)
    except ChunkError:
        return None
    finally:
        watcher.forget()
    return watcher.is_complete


TARGETS: dict[str, Callable[[bytes], None]] = {
    "requests": check_requests,
    "answers": check_answers,
    "chunks": check_chunks,
    "feeds": check_feeds,
    "openadr": check_openadr,
}
