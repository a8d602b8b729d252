import json

import pytest

from controller.loop.handover_body import decode, encode, writer_of
from controller.model.gpu_limit import Found

FOUND = Found("GPU-a", 700.0, (450.0,))


def test_what_is_written_is_read_back_with_whose_it_is():
    body = encode(FOUND, site="north", written_at_s=5.0)
    assert decode(body, Found) == FOUND
    assert writer_of(body) == ("north", 5.0)


def test_nothing_is_nobodys():
    assert decode(None, Found) is None
    assert writer_of(None) == (None, 0.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (json.dumps({"schema_version": 9}).encode(), "it is of schema version 9, this controller reads 1"),
        (json.dumps({"schema_version": 1, "state": {"gpu_uuid": 5}}).encode(), "TypeError: 5 is not of type str"),
        (b"[" * 100_000, "RecursionError"),
    ],
)
def test_why_it_cannot_be_read_is_told(body, reason):
    assert decode(body, Found).startswith(reason)
    assert writer_of(body) == (None, 0.0)
