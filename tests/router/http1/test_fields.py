import re

import pytest

from router.http1.fields import FIELDS, HOP_BY_HOP, connection_options, read_fields, without


def test_values_are_found_by_lower_case_name_and_trimmed() -> None:
    values, lines, twins = read_fields(b"X-Request-ID: \t abc \r\nAccept:*/*\r\n", HOP_BY_HOP)
    assert values == {b"x-request-id": b"abc", b"accept": b"*/*"}
    assert lines == [b"X-Request-ID: \t abc ", b"Accept:*/*"]
    assert twins == []


def test_fields_that_occur_twice_are_all_kept_and_their_values_joined() -> None:
    values, lines, twins = read_fields(b"Link: a\r\nlink: b\r\n", HOP_BY_HOP)
    assert values[b"link"] == b"a, b"
    assert lines == [b"Link: a", b"link: b"]
    assert twins == [b"link"]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_are_read_but_do_not_go_on(name: bytes) -> None:
    values, lines, _ = read_fields(name.title() + b": x\r\nHost: h\r\n", HOP_BY_HOP)
    assert values[name] == b"x"
    assert lines == [b"Host: h"]


def test_connection_options_are_split_and_lowered() -> None:
    assert connection_options(b"Keep-Alive,\t X-Private ,") == {b"keep-alive", b"x-private", b""}


def test_without_drops_the_named_fields_only() -> None:
    assert without([b"A: 1", b"B: 2", b"a: 3"], {b"a"}) == [b"B: 2"]


@pytest.mark.parametrize(
    "block",
    [
        b"a: b\n",
        b"a: b\rc\r\n",
        b"a: \0\r\n",
        b" a: b\r\n",
        b"a : b\r\n",
        b": b\r\n",
        b"a\r\n",
        b"a: b\r\n c\r\n",
        b"a: \x7f\r\n",
    ],
)
def test_the_grammar_refuses_what_could_be_read_in_two_ways(block: bytes) -> None:
    assert re.fullmatch(FIELDS, block) is None


def test_the_grammar_takes_bytes_beyond_ascii_in_values() -> None:
    assert re.fullmatch(FIELDS, "x-name: Grüße\r\n".encode()) is not None
