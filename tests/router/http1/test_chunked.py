import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.chunked import MAX_LINE_BYTES, MAX_OVERHEAD_BYTES, ChunkDecoder, ChunkError, ChunkWatcher

WHOLE = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nx-sum: 1\r\n\r\n"


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(bounds)]


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_the_payload_is_the_same_however_the_bytes_arrive(cuts: list[int]) -> None:
    decoder = ChunkDecoder()
    payload = b"".join(
        piece for part in in_pieces(WHOLE + b"REST", cuts) if not decoder.is_complete for piece in decoder.feed(part)
    )
    assert payload == b"hello world"
    assert decoder.is_complete
    assert b"REST".startswith(decoder.rest)


def test_bytes_after_the_end_are_left() -> None:
    decoder = ChunkDecoder()
    assert b"".join(decoder.feed(WHOLE + b"GET / HTTP/1.1\r\n")) == b"hello world"
    assert decoder.rest == b"GET / HTTP/1.1\r\n"


def decoded(data: bytes, size: int) -> bytes:
    decoder = ChunkDecoder()
    return b"".join(piece for at in range(0, len(data), size) for piece in decoder.feed(data[at : at + size]))


BROKEN = [
    b"5\nhello\r\n0\r\n\r\n",
    b"5 \nhello\r\n",
    b"0x5\r\nhello\r\n",
    b"-5\r\nhello\r\n",
    b"+5\r\nhello\r\n",
    b"\r\n5\r\nhello\r\n",
    b"5\r\nhello!\r\n0\r\n\r\n",
    b"5\r\nhello0\r\n\r\n",
    b"g\r\n",
    b"f" * 17 + b"\r\n",
    b"5;a\0\r\nhello\r\n",
    b"5;\r\nhello\r\n",
    b"5 ;a\r\nhello\r\n",
    b"5; a\r\nhello\r\n",
    b"5;a =b\r\nhello\r\n",
    b'5;a="b\r\nhello\r\n',
    b'5;a="b"c\r\nhello\r\n',
    b'5;a="b\\"\r\nhello\r\n',
    b"0\r\nContent-Length: 5\r\n\r\n",
    b"0\r\nx: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    b"0\r\nbad trailer\r\n\r\n",
    b"0\r\n folded: 1\r\n\r\n",
    b"5;\nhello\r\n",
    b"\n5\r\nhello\r\n",
    b"0\r\nx: 1\n\r\n",
    b"0\r\n\n",
    b"5" * MAX_LINE_BYTES,
    b"0\r\nx: " + b"y" * MAX_LINE_BYTES,
    b"0\r\n" + b"x: 1\r\n" * (MAX_OVERHEAD_BYTES // 6 + 1),
    (b"1;" + b"e" * 1000 + b"\r\na\r\n") * 20,
]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("data", BROKEN)
def test_what_is_not_chunks_is_refused_however_it_arrives(data: bytes, size: int) -> None:
    with pytest.raises(ChunkError):
        decoded(data, size)


@pytest.mark.parametrize(
    "line", [b"5;a", b"5;a=b", b"005;a=b;c", b'5;a="b c;d"', b'5;a="b\\"c";d=e', b'5;a=""', b"5;content-length=5"]
)
def test_extensions_are_passed_over(line: bytes) -> None:
    assert decoded(line + b"\r\nhello\r\n0;last\r\nx-content-length: 5\r\n\r\n", 3) == b"hello"


@pytest.mark.parametrize("data", [b"5", b"5\r", b"5\r\nhel", b"5\r\nhello\r", b"0\r\n", b"0\r\nx: 1\r\n"])
def test_an_unfinished_body_waits(data: bytes) -> None:
    decoder = ChunkDecoder()
    decoder.feed(data)
    assert not decoder.is_complete


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_the_watcher_sees_the_end_however_the_bytes_arrive(cuts: list[int]) -> None:
    watcher = ChunkWatcher()
    for _ in range(2):
        watcher.begin()
        for part in in_pieces(WHOLE, cuts):
            assert not watcher.is_complete or not part
            watcher.feed(part)
        assert watcher.is_complete
    watcher.forget()


@pytest.mark.parametrize(
    "chunk", [b"1\r\na\r\n", b"00000000000001\r\na\r\n", b"64;signature=" + b"a" * 64 + b"\r\n" + b"a" * 100 + b"\r\n"]
)
def test_framing_in_proportion_to_the_payload_is_no_offence(chunk: bytes) -> None:
    decoder = ChunkDecoder()
    payload = b"".join(decoder.feed(chunk * MAX_OVERHEAD_BYTES + b"0\r\n\r\n"))
    assert payload == b"a" * len(payload)
    assert len(payload) >= MAX_OVERHEAD_BYTES
    assert decoder.is_complete


def test_no_more_than_an_unfinished_line_is_held() -> None:
    decoder = ChunkDecoder()
    decoder.feed(b"100000\r\n" + b"x" * 65_536)
    decoder.feed(b"x" * 65_536)
    assert sys.getsizeof(decoder._held) < 100


@given(st.lists(st.integers(min_value=0), max_size=8))
@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\n\r\n", b"x", b"5\r\nhello\r\n", b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("body", [WHOLE, b"0\r\n\r\n", b"4\r\n\r\n\r\n\r\n0\r\nx: 1\r\n\r\n"])
def test_the_watcher_refuses_bytes_after_the_end(body: bytes, extra: bytes, cuts: list[int]) -> None:
    watcher = ChunkWatcher()
    watcher.begin()
    *before, last = in_pieces(body, cuts)
    for part in before:
        watcher.feed(part)
    with pytest.raises(ChunkError):
        watcher.feed(last + extra)


@given(st.lists(st.integers(min_value=0), max_size=8))
@pytest.mark.parametrize("body", [WHOLE, b"0\r\n\r\n", b"4\r\n\r\n\r\n\r\n0\r\nx: 1\r\n\r\n"])
def test_the_watcher_takes_a_body_that_ends_where_it_should(body: bytes, cuts: list[int]) -> None:
    watcher = ChunkWatcher()
    watcher.begin()
    for part in in_pieces(body, cuts):
        watcher.feed(part)
    assert watcher.is_complete


@pytest.mark.parametrize("data", [b"5\r\nhello!\r\n", b"zz\r\n", b"5\nhello\r\n"])
def test_the_watcher_refuses_what_is_not_chunks(data: bytes) -> None:
    watcher = ChunkWatcher()
    watcher.begin()
    with pytest.raises(ChunkError):
        watcher.feed(data)


@pytest.mark.parametrize(
    ("so_far", "is_between"),
    [
        (b"", True),
        (b"5\r\nhello\r\n", True),
        (b"5\r\nhell", False),
        (b"5\r\nhello", False),
        (b"5\r\nhello\r", False),
        (b"10\r\n0123456789", False),
        (b"5\r\n", False),
        (b"5", False),
        (b"5\r\nhello\r\n0\r\n", False),
    ],
)
def test_whether_a_chunk_could_be_put_in(so_far: bytes, is_between: bool) -> None:
    watcher = ChunkWatcher()
    watcher.begin()
    watcher.feed(so_far)
    assert watcher.is_between_chunks() is is_between
