import math

import pytest

from controller.signals.router_fields import count_of, list_of, name_of, object_of


@pytest.mark.parametrize("value", [0, 3, 2.5, 1e300])
def test_counts(value):
    assert count_of(value, "in_flight") == value
    assert isinstance(count_of(value, "in_flight"), float)


@pytest.mark.parametrize("value", [-1, -0.1, True, None, "3", math.nan, math.inf, [], 10**400, "x" * 1000])
def test_what_is_no_count_is_named_with_its_place_and_cut_short(value):
    with pytest.raises(ValueError, match=r"^in_flight is .{0,40}, a number of at least 0 is expected$"):
        count_of(value, "in_flight")


def test_names():
    assert name_of({"tenant": "a"}, "tenant", "tenants[0]") == "a"
    for entry in ({}, {"tenant": ""}, {"tenant": 3}, None, ["a"]):
        with pytest.raises(ValueError, match=r"tenants\[0\]\.tenant is not a name"):
            name_of(entry, "tenant", "tenants[0]")


def test_lists_and_objects_are_bounded():
    assert list_of([1, 2], "classes", 2) == [1, 2]
    assert object_of({"a": 1}, "tokens", 1) == {"a": 1}
    for value in ([1, 2, 3], {}, None, "ab"):
        with pytest.raises(ValueError, match="classes is not a list of at most 2"):
            list_of(value, "classes", 2)
    for value in ({"a": 1, "b": 2}, [], None):
        with pytest.raises(ValueError, match="tokens is not an object of at most 1"):
            object_of(value, "tokens", 1)
