"""Fields are taken as they are, or refused by their place and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from router.contract_fields import MAX_NUMBER, ContractError, integer, items, mapping, number, string

FIELDS = {"n": 5, "f": -0.5, "name": "bf16", "list": [1, 2], "flag": True, "nan": float("nan"), "far": 2 * MAX_NUMBER}


def test_fields_of_the_right_kind_are_taken() -> None:
    assert mapping(FIELDS, "$") is FIELDS
    assert items(FIELDS, "list") == [1, 2]
    assert items(FIELDS, "absent") == []
    assert string(FIELDS["name"], "name") == "bf16"
    assert (number(FIELDS, "n", "$"), number(FIELDS, "f", "$")) == (5.0, -0.5)
    assert integer(FIELDS, "n", "$", minimum=5) == 5


@pytest.mark.parametrize(
    ("read", "named"),
    [
        (lambda: mapping([], "weights[0]"), r"weights\[0\]: an object is expected, not list"),
        (lambda: items(FIELDS, "n", "weights[0]"), r"weights\[0\]\.n: a list is expected, not int"),
        (lambda: string("", "issuer"), "issuer: a name of 1 to 256 characters is expected, not ''"),
        (lambda: string("x" * 257, "issuer"), "issuer: a name"),
        (lambda: string(5, "issuer"), "not 5"),
        (lambda: number(FIELDS, "absent", "$"), "absent: a finite number is expected, not None"),
        (lambda: number(FIELDS, "flag", "caps[1]"), r"caps\[1\]\.flag: a finite number is expected, not True"),
        (lambda: number(FIELDS, "nan", "$"), "not nan"),
        (lambda: number(FIELDS, "far", "$"), "finite"),
        (lambda: number(FIELDS, "f", "$", minimum=0.0), r"f: -0\.5 is less than 0\.0"),
        (lambda: integer(FIELDS, "f", "$", minimum=0), r"f: a whole number of at least 0 is expected, not -0\.5"),
        (lambda: integer(FIELDS, "n", "$", minimum=6), "at least 6 is expected, not 5"),
        (lambda: integer(FIELDS, "flag", "$", minimum=0), "not True"),
    ],
)
def test_others_are_refused_by_place_and_value(read: Callable[[], Any], named: str) -> None:
    with pytest.raises(ContractError, match=named):
        read()


def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.contract_fields.MAX_ENTRIES", 1)
    with pytest.raises(ContractError, match="list: 2 entries, more than 1"):
        items(FIELDS, "list")
