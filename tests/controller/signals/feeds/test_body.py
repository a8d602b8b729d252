import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import SignalError
from controller.signals.feeds.body import instant, json_of, listing, mapping, number
from controller.utc_text import utc_text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<!DOCTYPE html><title>Log in</title>", "a page in HTML or XML instead of JSON; is a proxy or login"),
        (b'{"data": [1, 2', "cut off .* at character"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "a number too long"),
    ],
)
def test_what_is_no_json_is_told(body, says):
    with pytest.raises(SignalError, match=says):
        json_of(body, "feed")


@pytest.mark.parametrize("value", [None, True, "NaN", "inf", "1e999", "1_000", [], {}, 10**400, "", float("nan")])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(SignalError, match=r"value is .*not a finite number"):
        number(value, "feed", "value")


def test_digits_in_a_text_are_a_number():
    assert number("-16.75", "feed", "value") == -16.75


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("2026-03-29T09:00", "no time zone"),
        ("soon", "not a time"),
        (5, "not a time"),
        ("1066-10-14T00:00Z", "after 1970"),
    ],
)
def test_what_is_no_instant_is_refused(value, says):
    with pytest.raises(SignalError, match=says):
        instant(value, "feed", "from")


def test_an_instant_counts_its_offset():
    assert utc_text(instant("2026-03-29T11:00+02:00", "feed", "from")) == "2026-03-29T09:00:00Z"


def test_shapes_are_checked():
    with pytest.raises(SignalError, match="the answer is a list, not an object"):
        mapping([], "feed")
    with pytest.raises(SignalError, match="data is None, not a list"):
        listing(None, "feed", "data")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_fault_that_is_told(body):
    with contextlib.suppress(SignalError):
        json_of(body, "feed")


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_fault_that_is_told(text):
    with contextlib.suppress(SignalError):
        assert instant(text, "feed", "from") >= 0
