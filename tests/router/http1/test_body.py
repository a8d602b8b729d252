from hypothesis import given
from hypothesis import strategies as st

from router.http1.body import SMALL_BYTES, BodyPieces

SIZES = st.lists(st.sampled_from([0, 1, 7, SMALL_BYTES - 1, SMALL_BYTES, 3 * SMALL_BYTES]), max_size=20)


@given(SIZES)
def test_what_was_added_comes_out_in_one(sizes: list[int]) -> None:
    pieces = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    body = BodyPieces()
    for piece in pieces:
        body.add(piece)
    assert body.size == sum(sizes)
    assert body.take() == b"".join(pieces)
    assert (body.size, body.take()) == (0, b"")


def test_small_pieces_are_kept_together() -> None:
    body = BodyPieces()
    for _ in range(10_000):
        body.add(b"x")
    assert len(body._pieces) == 1
