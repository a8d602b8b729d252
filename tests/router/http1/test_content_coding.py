import gzip
import zlib

import pytest

from router.http1.content_coding import CodingError, is_coded, unpack

PLAIN = b'{"model":"qwen","messages":[]}' * 100


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"x-gzip", b"deflate"])
def test_what_is_unpacked(coding: bytes) -> None:
    assert is_coded(coding)


@pytest.mark.parametrize("coding", [b"", b"identity", b"Identity"])
def test_what_is_plain_already(coding: bytes) -> None:
    assert not is_coded(coding)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"chunked"])
def test_other_codings_are_refused(coding: bytes) -> None:
    with pytest.raises(CodingError, match="gzip or deflate") as caught:
        is_coded(coding)
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(PLAIN, mtime=0),
        zlib.compress(PLAIN),
        gzip.compress(PLAIN[:50], mtime=0) + gzip.compress(PLAIN[50:], mtime=0),
    ],
)
def test_a_body_is_unpacked(packed: bytes) -> None:
    assert unpack(packed, len(PLAIN)) == PLAIN
    assert unpack(bytearray(packed), len(PLAIN)) == PLAIN


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (b"nonsense", "damaged"),
        (gzip.compress(PLAIN, mtime=0)[:-1], "too early"),
        (gzip.compress(PLAIN, mtime=0)[:-8] + bytes(8), "damaged"),
        (gzip.compress(PLAIN, mtime=0) + b"rest", "damaged"),
        (gzip.compress(b"x", mtime=0)[:5], "too early"),
        (gzip.compress(b"", mtime=0) * 17, "more than 16 members"),
    ],
)
def test_a_damaged_body_is_refused(packed: bytes, said: str) -> None:
    with pytest.raises(CodingError, match=said) as caught:
        unpack(packed, 1 << 20)
    assert caught.value.status == 400


def test_a_bomb_is_not_unpacked_further_than_allowed() -> None:
    bomb = gzip.compress(bytes(1 << 20), mtime=0)
    with pytest.raises(CodingError, match="exceeds 1000 bytes") as caught:
        unpack(bomb, 1000)
    assert caught.value.status == 413


def test_many_members_count_together() -> None:
    with pytest.raises(CodingError, match="exceeds 150 bytes"):
        unpack(gzip.compress(bytes(100), mtime=0) * 2, 150)
