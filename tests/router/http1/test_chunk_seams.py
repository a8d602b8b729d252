import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http1.chunk_seams import ChunkSeams, Seam


def body(*payloads: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*payloads, b"")[:-1]) + b"0\r\n\r\n"


def test_seams_of_a_whole_body() -> None:
    assert ChunkSeams().feed(body(b"abc", b"0\r\n\r\n")) == [Seam(0, 3, 3), Seam(8, 11, 5), Seam(18, 21, 0)]


def test_a_size_line_that_was_split_gives_no_seam_and_loses_none_of_the_others() -> None:
    seams = ChunkSeams()
    assert seams.feed(b"3\r\nabc\r\n1") == [Seam(0, 3, 3)]
    assert seams.feed(b"0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n") == [Seam(21, 24, 0)]


def test_extensions_are_part_of_the_size_line() -> None:
    assert ChunkSeams().feed(b'2;a="b"\r\nhi\r\n') == [Seam(0, 9, 2)]


@pytest.mark.parametrize(
    "broken", [b"zz\r\nabc\r\n3\r\nabc\r\n", b"\r\n3\r\nabc\r\n", b"f" * 16 + b"\r\n", b"1" * 5000]
)
def test_what_is_no_chunked_body_gives_no_seams(broken: bytes) -> None:
    seams = ChunkSeams()
    assert seams.feed(broken) == []
    assert seams.feed(b"3\r\nabc\r\n") == []


def test_nothing_follows_the_last_chunk() -> None:
    seams = ChunkSeams()
    seams.feed(b"0\r\nx: 1\r\n\r\n")
    assert seams.feed(b"3\r\nabc\r\n") == []


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_every_seam_told_is_one_however_the_body_is_cut(payloads: list[bytes], data: st.DataObject) -> None:
    whole = body(*payloads)
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=6)))
    true = {seam.begin for seam in ChunkSeams().feed(whole)}
    seams, told = ChunkSeams(), set()
    for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        told |= {begin + seam.begin for seam in seams.feed(whole[begin:end])}
    assert told <= true
    assert len(true) - len(told) <= len(cuts)
    if not cuts:
        assert len(true) == len(payloads) + 1
