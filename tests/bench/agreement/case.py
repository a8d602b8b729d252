"""The common case: sets of two BF16 and two FP8 instances on measured curves, each under a load of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from controller.demo.load import MIN_INPUT_TOKENS
from controller.model.fleet import Site
from controller.service.compose import build_site
from controller.settings.file import Settings
from controller.simulation.replay import assign_classes
from controller.simulation.site_router import Request
from controller.simulation.trace import Slice, Trace, replayed
from router.contract import ClassId
from tests.fakes.ports import free_ports

CLASS = ClassId("standard")
POOLS = {
    "bf16": {"gpu": "H100", "gpus_per_instance": 8, "curves": "qwen3-235b-a22b/bf16/8xh100"},
    "fp8": {"gpu": "H100", "gpus_per_instance": 4, "curves": "qwen3-235b-a22b/fp8/4xh100", "quality_loss_frac": 0.006},
}
INSTANCES = 2
"""Of each pool."""
TRACE_START_S = 600.0
TOLERANCE_FRAC = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """What is measured, in seconds since the first request could come; before it the engines fill."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters of a set of instances at an instant: energy at their own terminals and output tokens made."""

    at_s: float
    energy_j: float
    tokens: float


@dataclass(frozen=True, slots=True)
class Means:
    """Of a window."""

    power_w: float
    tokens_per_s: float


def means(before: Reading, after: Reading) -> Means:
    """Means between two readings.

    Raises:
        ValueError: the second is not later than the first.
    """
    passed_s = after.at_s - before.at_s
    if passed_s <= 0:
        raise ValueError(f"readings at {before.at_s:g} and {after.at_s:g} s: the second must be later")
    return Means((after.energy_j - before.energy_j) / passed_s, (after.tokens - before.tokens) / passed_s)


def requests_at(trace: Trace, per_s: float, duration_s: float) -> tuple[Request, ...]:
    """The trace from `TRACE_START_S` on, at the speed that gives `per_s` requests/s over the whole trace."""
    speed = per_s * trace.duration_s / len(trace.arrivals)
    arrivals = replayed(trace, Slice(TRACE_START_S, duration_s, speed))
    return assign_classes(arrivals, {CLASS: 1.0}, 0, min_input_tokens=MIN_INPUT_TOKENS)


def set_of(names: list[str]) -> Callable[[dict[str, Any]], None]:
    """A change of the laptop's configuration: for each name one set, whose pools are called NAME-bf16, NAME-fp8."""

    def change(document: dict[str, Any]) -> None:
        ports = iter(free_ports(len(names) * len(POOLS) * INSTANCES))
        document["pools"] = [
            {
                "name": f"{name}-{pool}",
                "precision": pool,
                "instances": [f"http://127.0.0.1:{next(ports)}" for _ in range(INSTANCES)],
            }
            for name in names
            for pool in POOLS
        ]
        document["plan"]["pools"] = {f"{name}-{pool}": plan for name in names for pool, plan in POOLS.items()}
        document["plan"]["classes"] = {}
        document["classes"] = [{"name": CLASS}]
        document["default_class"] = CLASS
        document["emulator"].pop("initially_on")

    return change


def site_of(document: dict[str, Any], name: str) -> Site:
    """The site of one set of a configuration, as the service would build it."""
    pools = [pool for pool in document["pools"] if pool["name"].startswith(f"{name}-")]
    plan = {**document["plan"], "pools": {pool["name"]: document["plan"]["pools"][pool["name"]] for pool in pools}}
    emulator = document["emulator"]
    return build_site(Settings.model_validate({**document, "pools": pools, "plan": plan, "emulator": emulator}))


def edges(window: Window, longest_s: float) -> list[tuple[float, float]]:
    """Intervals of at most `longest_s` from 0 to the window's end; one of them begins where the window begins.

    Raises:
        ValueError: the window is none.
    """
    marks = [0.0]
    if not 0.0 <= window.start_s < window.end_s:
        raise ValueError(f"{window}: it begins at 0 or later and ends after that")
    for until_s in (window.start_s, window.end_s):
        begin_s = marks[-1]
        parts = math.ceil((until_s - begin_s) / longest_s)
        marks += [begin_s + (until_s - begin_s) * part / parts for part in range(1, parts + 1)]
    return [*pairwise(marks)]
