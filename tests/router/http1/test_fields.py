import pytest

from router.http1.fields import HOP_BY_HOP, FieldReader, Fields, MalformedLineError, read_connection, without

WANTED = frozenset({b"x-request-id", b"link", b"host"})


def read(*lines: bytes) -> Fields:
    return FieldReader(WANTED, HOP_BY_HOP).read(list(lines))


def test_wanted_values_are_found_by_lower_case_name_and_trimmed() -> None:
    values, lines, twins = read(b"X-Request-ID: \t abc ", b"Accept:*/*")
    assert values == {b"x-request-id": b"abc"}
    assert lines == [b"X-Request-ID: \t abc ", b"Accept:*/*"]
    assert twins == []


def test_fields_that_occur_twice_are_all_kept_and_their_values_joined() -> None:
    values, lines, twins = read(b"Link: a", b"X-A: 1", b"link: b", b"X-A: 1")
    assert values[b"link"] == b"a, b"
    assert lines == [b"Link: a", b"X-A: 1", b"link: b", b"X-A: 1"]
    assert twins == [b"link"]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_are_read_but_do_not_go_on(name: bytes) -> None:
    values, lines, _ = read(name.title() + b": x", b"Host: h")
    assert values[name] == b"x"
    assert lines == [b"Host: h"]


def test_a_line_seen_before_reads_the_same_and_what_is_kept_is_bounded() -> None:
    reader = FieldReader(WANTED, HOP_BY_HOP)
    first = reader.read([b"Host: a", b"X: 1", b"TE: x"])
    for number in range(5000):
        reader.read([b"X-%d: 1" % number, b"Host: h%d" % number])
    assert reader.read([b"Host: a", b"X: 1", b"TE: x"]) == first
    assert sum(len(kept) for kept in vars(reader).values() if isinstance(kept, dict | set)) < 2500


@pytest.mark.parametrize(
    ("value", "closes", "taken"),
    [
        (b"Keep-Alive,\t X-Private ,", False, {b"x-private"}),
        (b"close", True, set()),
        (b" , CLOSE ,TE", True, {b"te"}),
        (b"Host, Content-Length, Content-Type, Authorization", False, set()),
        (b"closed, x close", False, {b"closed", b"x close"}),
        (b"", False, set()),
    ],
)
def test_a_connection_field_may_end_the_connection_and_take_fields_away(
    value: bytes, closes: bool, taken: set[bytes]
) -> None:
    assert read_connection(value) == (closes, taken)


def test_without_drops_the_named_fields_only() -> None:
    assert without([b"A: 1", b"B: 2", b"a: 3"], {b"a"}) == [b"B: 2"]


@pytest.mark.parametrize(
    "line",
    [
        b"a: b\n",
        b"a: b\rc",
        b"a: \0",
        b" a: b",
        b"a : b",
        b"a\t: b",
        b": b",
        b"a",
        b"",
        b" c",
        b"a: \x7f",
    ],
)
def test_the_grammar_refuses_what_could_be_read_in_two_ways(line: bytes) -> None:
    reader = FieldReader(WANTED, HOP_BY_HOP)
    for _ in range(2):
        with pytest.raises(MalformedLineError):
            reader.read([line])


def test_the_grammar_takes_bytes_beyond_ascii_in_values() -> None:
    line = "x-name: Grüße".encode()
    assert read(line).lines == [line]
