"""Small scenarios of the kind `site` for tests."""

from __future__ import annotations

from typing import Any

import yaml

from controller.study.settings import parse
from controller.study.site.settings import SiteStudySettings

BF16, FP8 = "qwen3-235b-a22b/bf16/8xh100", "qwen3-235b-a22b/fp8/4xh100"


def site_document(**changes: Any) -> dict[str, Any]:
    """Six instances at two precisions, one class, half an hour of steady demand and price."""
    document: dict[str, Any] = {
        "kind": "site",
        "title": "small",
        "start": "2022-07-12T12:00:00Z",
        "hours": 0.5,
        "site": {
            "name": "s",
            "gpus": 40,
            "pools": [
                {"name": "bf16", "profile": BF16, "precision": "bf16", "instances": 3},
                {"name": "fp8", "profile": FP8, "precision": "fp8", "instances": 3, "quality_loss_frac": 0.006},
            ],
        },
        "classes": [
            {
                "name": "standard",
                "quality_budget_frac": 0.006,
                "itl_slo_s": 0.1,
                "demand": {"mean_tokens_per_s": 4000, "daily_frac": 0.0, "weekend_frac": 0.0, "noise_frac": 0.0},
            }
        ],
        "price": {"flat_usd_per_mwh": 60},
        "carbon": {"flat_kg_per_mwh": 300},
    }
    return {**document, **changes}


def site_settings(**changes: Any) -> SiteStudySettings:
    """The same, read."""
    return parse(yaml.safe_dump(site_document(**changes)), SiteStudySettings, "small")


def event(**changes: Any) -> dict[str, Any]:
    """Ten minutes under a limit, a quarter of an hour after the beginning."""
    written = {"name": "e", "start": "2022-07-12T12:15:00Z", "minutes": 10, "limit_kw": 8.0, "notice_s": 120}
    return {**written, **changes}
