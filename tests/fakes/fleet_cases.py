"""Small scenarios of the kind `fleet` for tests."""

from __future__ import annotations

from typing import Any

import yaml

from controller.study.fleet.settings import FleetSettings
from controller.study.settings import parse

PROFILES = {"bf16": "qwen3-235b-a22b/bf16/8xh100", "fp8": "qwen3-235b-a22b/fp8/4xh100"}


def fleet_document(**changes: Any) -> dict[str, Any]:
    """Two small sites, one model at two precisions, two classes, six hours of a summer's day."""
    document: dict[str, Any] = {
        "kind": "fleet",
        "title": "small",
        "start": "2022-07-12T12:00:00Z",
        "days": 0.25,
        "sites": [
            {"name": "a", "gpus": 96, "price_zone": "LZ_HOUSTON"},
            {"name": "b", "gpus": 64, "price_zone": "LZ_WEST"},
        ],
        "models": [
            {
                "name": "m",
                "pools": [
                    {"profile": PROFILES["bf16"], "precision": "bf16"},
                    {"profile": PROFILES["fp8"], "precision": "fp8", "quality_loss_frac": 0.006},
                ],
            }
        ],
        "classes": [
            {"name": "exact", "model": "m", "precisions": ["bf16"], "demand": {"mean_tokens_per_s": 4000}},
            {
                "name": "standard",
                "model": "m",
                "quality_budget_frac": 0.006,
                "demand": {"mean_tokens_per_s": 8000, "daily_frac": 0.5},
            },
        ],
        "plan": {"steps": 6},
    }
    return {**document, **changes}


def rich_document(**changes: Any) -> dict[str, Any]:
    """The same with photovoltaics, a battery, a class that may wait four hours and a programme that calls once."""
    document = fleet_document()
    document["sites"][0]["pv"] = {"peak_kw": 30}
    document["sites"][0]["battery"] = {"capacity_kwh": 100, "charge_kw": 25, "discharge_kw": 25}
    batch = {"name": "batch", "model": "m", "quality_budget_frac": 0.006, "defer_hours": 4}
    document["classes"].append({**batch, "demand": {"mean_tokens_per_s": 3000}})
    call = {"name": "noon", "kind": "response", "sites": ["a", "b"], "start": "2022-07-12T15:00:00Z", "hours": 1}
    document["events"] = [{**call, "reward_usd_per_mwh": 500}]
    return {**document, **changes}


def fleet_settings(**changes: Any) -> FleetSettings:
    """The same, read."""
    return parse(yaml.safe_dump(fleet_document(**changes)), FleetSettings, "small")


def rich_settings(**changes: Any) -> FleetSettings:
    """The rich one, read."""
    return parse(yaml.safe_dump(rich_document(**changes)), FleetSettings, "rich")
