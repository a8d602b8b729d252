from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

import pytest

from controller.study.figures import as_json


class Kind(StrEnum):
    A = "a"


@dataclass(frozen=True)
class Row:
    kwh: float
    wait_s: float | None
    kind: Kind = Kind.A


def test_dataclasses_enums_and_tuples_become_json() -> None:
    document = json.loads(as_json({"rows": (Row(1.5, None), Row(2.0, 3.0)), "on": True, "names": {"a": 1}}))
    assert document == {
        "rows": [{"kwh": 1.5, "wait_s": None, "kind": "a"}, {"kwh": 2.0, "wait_s": 3.0, "kind": "a"}],
        "on": True,
        "names": {"a": 1},
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_refused_by_place(value: float) -> None:
    with pytest.raises(ValueError, match=r"rows\[1\]\.kwh: -?(nan|inf) is not a figure"):
        as_json({"rows": (Row(1.0, None), Row(value, None))})


def test_what_has_no_place_in_json_is_named() -> None:
    with pytest.raises(TypeError, match="rows: set has no place in JSON"):
        as_json({"rows": {1, 2}})
