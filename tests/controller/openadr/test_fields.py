import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.openadr.fields import Fields, decode, entries, number, shown, text


def test_fields_are_read_with_their_types():
    fields = Fields.of({"id": "e-1", "n": 3.0, "x": 2, "b": True, "none": None, "list": ["a"]}, "event")
    assert fields.object_id("id") == "e-1"
    assert fields.integer("n") == 3
    assert fields.number("x") == 2.0
    assert fields.boolean("b", False)
    assert not fields.has("none")
    assert fields.optional_integer("none") is None
    assert fields.each("list", 4, text) == ("a",)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda f: f.name("absent"), "event.absent: it is missing"),
        (lambda f: f.object_id("slash"), r"event.slash: '\.\./x' is not an id"),
        (lambda f: f.object_id("empty"), "event.empty: 0 characters"),
        (lambda f: f.integer("half"), "event.half: 1.5 is not a whole number"),
        (lambda f: f.integer("minus", 0), "event.minus: -1 is not a whole number from 0"),
        (lambda f: f.integer("flag"), "event.flag: True is not a number"),
        (lambda f: f.number("huge"), "event.huge: a number of more than 38 digits is too large"),
        (lambda f: f.boolean("minus", False), "event.minus: -1 is neither true nor false"),
        (lambda f: f.each("many", 2, text), "event.many: 3 entries; at most 2"),
        (lambda f: f.each("many", 9, number), r"event.many\[0\]: 'a' is not a number"),
        (lambda f: f.each("minus", 9, number), "event.minus: -1 is not a list"),
        (lambda f: f.text("long", 4), "event.long: 5 characters; 0 to 4"),
        (lambda f: f.text("many"), "event.many: a list is not text"),
    ],
)
def test_what_is_wrong_is_named_by_place_and_value(read, said):
    data = {"slash": "../x", "empty": "", "half": 1.5, "minus": -1, "flag": True, "huge": 10**400}
    fields = Fields.of({**data, "many": ["a", "b", "c"], "long": "12345"}, "event")
    with pytest.raises(MessageError, match=said):
        read(fields)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[NaN]", b"[" * 100_000, "nul"])
def test_what_is_not_json_is_refused(body):
    with pytest.raises(MessageError, match="answer: not JSON"):
        decode(body, "answer")


def test_only_objects_and_lists_are_taken_for_such():
    with pytest.raises(MessageError, match="event: a list is not an object"):
        Fields.of([], "event")
    with pytest.raises(MessageError, match="page: an object is not a list"):
        entries({}, "page", 3)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_values_are_shown_short(value):
    assert len(shown(value)) <= 80
