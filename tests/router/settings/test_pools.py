"""Pools and classes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.settings_files import pool, refused


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"pools": [pool(precision="fp4")]}, "'bf16', 'fp8', 'int8' or 'int4'"),
        ({"pools": [pool(instances=[])]}, "at least 1"),
        ({"pools": [pool(static_weight=-1)]}, "greater than or equal to 0"),
        ({"pools": [pool(max_in_flight=0)]}, "greater than or equal to 1"),
        ({"pools": [pool(colour="red")]}, "Extra inputs"),
        ({"classes": [{"name": "flex", "min_retry_after_s": 61}]}, "above max_retry_after_s 60; lower the one"),
        ({"classes": [{"name": "flex", "min_retry_after_s": 0}]}, "greater than 0"),
        ({"pools": [pool(tls={"ca_file": "ca.pem"})]}, "no instance at https://"),
        ({"pools": [pool(instances=["http://h:1"]), pool(name="b", instances=["https://h:1"])]}, "'h:1' appears more"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)
