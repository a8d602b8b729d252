import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.signals.power.sse import SseReader


def read(stream: bytes, cuts=()) -> list[str]:
    reader, out, last = SseReader(1000), [], 0
    for cut in (*sorted(cuts), len(stream)):
        out += reader.feed(stream[last:cut])
        last = cut
    return out


def test_data_of_events_without_comments_ids_and_names():
    stream = b': hello\n\nid: 1\nevent: power\ndata: {"a": 1}\n\ndata:x\r\ndata: y\r\n\r\ndata: unfinished\n'
    assert read(stream) == ['{"a": 1}', "x\ny"]


@given(st.lists(st.integers(0, 40)))
def test_where_the_bytes_are_cut_does_not_matter(cuts):
    stream = "data: größer\n\ndata: 2\n\n".encode()
    assert read(stream, [cut for cut in cuts if cut <= len(stream)]) == ["größer", "2"]


@pytest.mark.parametrize("stream", [b"x" * 2000, b"data: " + b"x" * 600 + b"\ndata: " + b"y" * 600 + b"\n"])
def test_an_event_without_an_end_is_refused(stream):
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        SseReader(1000).feed(stream)


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="utf-8"):
        SseReader(1000).feed(b"data: \xff\n\n")


def test_empty_data_without_end_is_refused():
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        SseReader(1000).feed(b"data:\n" * 2000)
