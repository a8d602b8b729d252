"""What is left in Redis is read back whole, and said not to be where it cannot."""

import pytest

from controller.loop.handover_document import decode, encode, whose
from controller.signals.asked import Asked
from controller.signals.links import KeptLinks

ASKED = Asked(5.0, (), KeptLinks((), ("a call",), 5.0))


def test_what_is_left_is_read_back_with_whose_it_is():
    body = encode(ASKED, site="north", written_at_s=5.0)
    assert decode(body, Asked) == ASKED
    assert whose(body) == ("north", 5.0)


@pytest.mark.parametrize("body", [None, b"", b"{}", b"[1]", b'{"site": "north"}', b"[" * 100_000])
def test_what_does_not_say_whose_it_is_is_nobody_s(body):
    assert whose(body) == (None, 0.0)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (b'{"schema_version": 9, "state": {}}', "schema version 9, this controller reads 1"),
        (b'{"schema_version": 1, "state": {}}', "Error"),
    ],
)
def test_what_cannot_be_read_says_why(body, said):
    assert said in decode(body, Asked)


def test_nothing_is_nothing():
    assert decode(None, Asked) is None
