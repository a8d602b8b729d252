from __future__ import annotations

import json

from controller.study.figures import as_json
from controller.study.sensitivity.result import VariationResult
from tests.fakes.fleet_totals import TOTALS


def test_the_fleet_as_written_has_no_value_in_json() -> None:
    results = tuple(VariationResult("x", value, 2.0, 1.0, 0.5, True, TOTALS) for value in (None, 0.0))
    shown = json.loads(as_json({"results": results}))["results"]
    assert [each["value"] for each in shown] == [None, 0.0]
    assert shown[0]["totals"]["bill"]["energy"] > 0
