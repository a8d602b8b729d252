"""The router process."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from router.settings import RouterFile


def pool(**over: Any) -> dict[str, Any]:
    return {"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:9001"], **over}


def load(**over: Any) -> RouterFile:
    return RouterFile.model_validate({"pools": [pool()], **over})


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"router": {"workers": 0}}, "greater than or equal to 1"),
        ({"router": {"health": {"probe_interval_s": 0}}}, "greater than 0"),
        ({"router": {"retry": {"budget_frac": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_remedy(over: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match="validation error") as caught:
        load(**over)
    assert said in str(caught.value)
