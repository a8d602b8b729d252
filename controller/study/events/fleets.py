"""Random fleets: pools of two to four precisions and GPUs of one model, on the bundled curves, and classes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from controller.simulation.profiles import PROFILES
from controller.study.events.traces import Recorded, Wish
from controller.study.site.settings import SiteStudySettings

FLEX = "flex"
"""The class that yields first and may wait; all others are above it."""
PRIORITIES = {"premium": 1, FLEX: -1}
"""Who yields last and first, in the order of what a served token is worth; 0 for the others."""
FIRST = datetime(2022, 1, 3, tzinfo=UTC)
DAYS = 350
"""Calls begin within so many days of the first: the recorded prices are of 2022."""
MARGIN_FRAC = 0.03
UTILISATION_FRAC = 0.85
WAIT_S = 30.0
"""A request above `flex` that waits longer is dropped: the router's `max_wait_s`, after which it answers 503."""
_QUALITY_LOSS = {"bf16": 0.0, "fp8": 0.006, "int4": 0.02}
_FAMILIES = ("qwen3-235b-a22b", "qwen3-32b", "qwen3-30b-a3b", "llama-3.1-70b", "llama-3.1-8b")


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet and what is asked of it.

    Attributes:
        settings: of the site; its demand stands for nothing and is replaced by the wishes.
        wishes: in the order of its classes.
    """

    settings: SiteStudySettings
    wishes: tuple[Wish, ...]


def families() -> dict[str, tuple[str, ...]]:
    """Profiles by model, of the models whose curves include BF16 and one precision more."""
    found = {name: tuple(p for p in PROFILES if p.startswith(f"{name}/")) for name in _FAMILIES}
    return {name: of_model for name, of_model in found.items() if len({p.split("/")[1] for p in of_model}) > 1}


def draw_fleet(
    rng: np.random.Generator, recorded: tuple[Recorded, Recorded], pools: tuple[int, ...], hours: float, tick_s: float
) -> Fleet:
    """A random fleet that is asked for between 45 and 80 % of what it can serve as promised.

    Args:
        rng: source of chance.
        recorded: a chat service and one for code.
        pools: numbers of pools to draw from; a model with fewer profiles has fewer pools.
        hours: length of the run.
        tick_s: between two decisions.
    """
    written = _pools(rng, pools)
    start = FIRST + timedelta(minutes=int(rng.integers(0, DAYS * 24 * 60)))
    chat, code = recorded
    wave_frac, phase = float(rng.uniform(0.0, 0.2)), float(rng.random())
    shares = _shares(rng)
    wishes = tuple(
        Wish(of, share, int(rng.integers(0, len(of.per_s))), wave_frac, phase)
        for of, share in zip((chat, chat, code, chat), shares, strict=True)
    )
    classes = _classes(rng, wishes)
    gpus = sum(pool["instances"] * int(pool["profile"].rpartition("/")[2].partition("x")[0]) for pool in written)
    settings = SiteStudySettings.model_validate(
        {
            "kind": "site",
            "title": "drawn",
            "start": start,
            "hours": hours,
            "tick_s": tick_s,
            "interval_s": tick_s,
            "site": {
                "name": "drawn",
                "gpus": gpus + int(rng.integers(0, 9)),
                "pue": round(float(rng.uniform(1.05, 1.4)), 2),
                "aux_kw": round(float(rng.uniform(0.0, 2.0)), 1),
                "pools": written,
            },
            "classes": classes,
            "price": {"zone": "LZ_HOUSTON"},
            "carbon": {"recorded": True},
            "plan": {
                "every_s": 300.0,
                "step_s": 300.0,
                "margin_frac": MARGIN_FRAC,
                "utilisation_frac": UTILISATION_FRAC,
            },
            "fixed_instances": 1,
        }
    )
    return Fleet(settings, wishes)


def _pools(rng: np.random.Generator, counts: tuple[int, ...]) -> list[dict[str, Any]]:
    known = families()
    model = str(rng.choice(sorted(known)))
    profiles = known[model]
    full = [p for p in profiles if "/bf16/" in p]
    first = full[int(rng.integers(len(full)))]
    others = [p for p in profiles if p != first]
    count = min(int(rng.choice(counts)) - 1, len(others))
    chosen = [first, *(others[i] for i in sorted(rng.choice(len(others), count, replace=False).tolist()))]
    if all(p.split("/")[1] == "bf16" for p in chosen):
        chosen[-1] = next(p for p in others if "/bf16/" not in p)
    instances = [int(rng.integers(3, 9)), *(int(rng.integers(2, 8)) for _ in chosen[1:])]
    return [
        {
            "name": profile.split("/", 1)[1].replace("/", "-"),
            "profile": profile,
            "precision": profile.split("/")[1],
            "instances": number,
            "min_on": int(profile == first),
            "quality_loss_frac": _QUALITY_LOSS[profile.split("/")[1]],
        }
        for profile, number in zip(chosen, instances, strict=True)
    ]


def _shares(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Output tokens of premium, standard, code and flex, as shares of all."""
    premium, code = float(rng.uniform(0.05, 0.15)), float(rng.uniform(0.005, 0.02))
    flex = float(rng.uniform(0.2, 0.5))
    return premium, 1.0 - premium - code - flex, code, flex


def _classes(rng: np.random.Generator, wishes: tuple[Wish, ...]) -> list[dict[str, Any]]:
    worth = float(rng.choice([0.0, 30.0]))
    terms: tuple[dict[str, Any], ...] = (
        {"name": "premium", "precisions": ["bf16"], "serve_usd_per_mtoken": 3000.0},
        {"name": "standard", "quality_budget_frac": float(rng.choice([0.002, 0.004])), "quality_usd_per_mtoken": worth},
        {"name": "code", "quality_budget_frac": 0.002, "quality_usd_per_mtoken": worth},
        {
            "name": FLEX,
            "quality_budget_frac": float(rng.choice([0.006, 0.02])),
            "serve_usd_per_mtoken": 50.0,
            "ttft_slo_s": 12 * 3600.0,
        },
    )
    return [
        {
            "itl_slo_s": 0.1,
            "ttft_slo_s": WAIT_S,
            "input_tokens": wish.recorded.input_tokens,
            "output_tokens": wish.recorded.output_tokens,
            "demand": {"mean_tokens_per_s": 1.0, "daily_frac": 0.0, "weekend_frac": 0.0, "noise_frac": 0.0},
            **of_class,
        }
        for wish, of_class in zip(wishes, terms, strict=True)
    ]
