"""The router process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.settings_files import refused


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"router": {"workers": 0}}, "greater than or equal to 1"),
        ({"router": {"health": {"probe_interval_s": 0}}}, "greater than 0"),
        ({"router": {"retry": {"budget_frac": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    assert said in refused(**over)
