"""Where fuzzing begins: the corpus of ambiguous messages, and what fuzzing has found."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fuzz.feeds import feed_seeds
from tests.fuzz.found import FOUND
from tests.fuzz.openadr import openadr_seeds
from tests.smuggling.answers import ANSWERS
from tests.smuggling.requests import CASES, get, post

MOST_BYTES = 4096
"""Larger seeds would slow a fuzzer down more than they teach it."""
KEYED = b"".join(
    get(line) + get(line, b"X: y") + get(b"X: y", line, b"X-Request-Id: 1") + post(line, b"Content-Length: 5")
    for line in (
        b"Authorization: Bearer a",
        b"authorization: Bearer b",
        b"AUTHORIZATION: c",
        b"x-api-key: d",
        b"Authorization: Bearer a\r\nx-api-key: d",
        b"Authorization: Bearer a\r\nauthorization: Bearer b",
        b"Connection: authorization\r\nAuthorization: Bearer a",
    )
)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs for one of the targets."""
    own = {"feeds": feed_seeds, "openadr": openadr_seeds}.get(target)
    if own is not None:
        yield from own()
        yield from FOUND.get(target, ())
        return
    raws = [b"".join(case.pieces) for case in ANSWERS] if target == "answers" else [case.raw for case in CASES]
    if target == "chunks":
        raws = [raw.partition(b"\r\n\r\n")[2] for raw in (*raws, *(b"".join(case.pieces) for case in ANSWERS))]
    yield from sorted({raw for raw in raws if raw and len(raw) <= MOST_BYTES})
    if target == "requests":
        yield KEYED
    # One reader reads these one after the other.
    yield b"".join(raw for raw in raws if len(raw) <= 300)[:MOST_BYTES]
    yield from FOUND.get(target, ())
