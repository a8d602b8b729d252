"""The section on quality: off by default, bounded, and refused where it makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controller.settings.file import Settings
from controller.settings.quality import CanarySettings, QualitySettings

POOLS = [{"name": "bf16", "precision": "bf16", "instances": ["http://127.0.0.1:1"]}]


def test_no_canary_is_sent_and_nonsense_is_refused_by_default() -> None:
    settings = QualitySettings()
    assert settings.canary.per_s == 0
    assert settings.when_nothing_else == "refuse"
    assert settings.measured == ()


@pytest.mark.parametrize(
    "changes",
    [{"per_s": 11}, {"least_agreement_frac": 1.0}, {"false_alarms_per_day": 0.5}, {"answer_tokens": 0}, {"energy": 1}],
)
def test_what_would_be_no_test_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CanarySettings(**changes)


def test_a_reference_that_no_pool_serves_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"quality\.canary\.reference"):
        Settings.model_validate({"pools": POOLS, "quality": {"canary": {"reference": "int8"}}})
    Settings.model_validate({"pools": POOLS, "quality": {"canary": {"reference": "bf16"}}})


def test_the_routers_token_is_not_sent_where_others_could_read_it() -> None:
    file: dict[str, Any] = {"pools": POOLS, "quality": {"canary": {"router_token_file": "t"}}}
    with pytest.raises(ValidationError, match=r"quality\.canary\.router_token_file would go there unencrypted"):
        Settings.model_validate(file | {"signals": {"router_urls": ["http://10.0.0.7:8081"]}})
    for own in ("http://127.0.0.1:8081", "https://10.0.0.7:8081"):
        Settings.model_validate(file | {"signals": {"router_urls": [own]}})
