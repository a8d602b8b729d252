from __future__ import annotations

import json

from controller.study.figures import as_json
from controller.study.fleet.result import FleetResult


def test_what_does_not_exist_is_null_in_json() -> None:
    empty = FleetResult(days=1.0, gpus=8, rows=(), bound_usd=0.0, kept_frac=None, same_tokens=True)
    assert json.loads(as_json({"result": empty}))["result"]["kept_frac"] is None
