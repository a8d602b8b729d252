"""The windows that the package ships under the name `emulated`: the engine's physics under mixed load."""

from __future__ import annotations

from random import Random

from controller.model.perf import PoolCurves
from controller.simulation.profiles import load_profile
from tests.fakes.engine_windows import Driven, at_random, closed_loop

PROFILES = (
    "llama-3.1-8b/bf16/1xh100",
    "llama-3.1-8b/fp8/1xh100",
    "qwen3-235b-a22b/bf16/8xh100",
    "qwen3-235b-a22b/fp8/8xh100",
)
LENGTHS = ((64, 256), (1024, 64), (2048, 16))
HEAD = (
    "# EMULATED: windows of wattroute's emulated engines; no GPU was measured\n"
    "configuration,load,wall_s,energy_j,prompt_tokens,generation_tokens,answers,busy_s,steps\n"
)


def emulated_windows() -> str:
    """As CSV."""
    lines = []
    for name in PROFILES:
        for load, window in _windows(load_profile(name)):
            figures = (
                window.wall_s,
                window.energy_j,
                window.prompt_tokens,
                window.generation_tokens,
                window.answers,
                window.busy_s,
                window.steps,
            )
            lines.append(f"{name},{load}," + ",".join(f"{figure:.7g}" for figure in figures))
    return HEAD + "\n".join(lines) + "\n"


def _windows(curves: PoolCurves) -> list[tuple[str, object]]:
    rng = Random(5)
    found = [
        (f"{clients} clients, {prompt} + {answer}", closed_loop(curves, clients, (prompt, answer), steps=150, rng=rng))
        for clients in (1, 4, 24)
        for prompt, answer in LENGTHS
    ]
    found.append(("at random", at_random(curves, 0.5, LENGTHS[0], wall_s=120.0, rng=rng)))
    for _ in range(2):
        idle = Driven(curves)
        idle.advance(10.0)
        found.append(("none", idle.window()))
    return [(load.replace(",", ":"), window) for load, window in found]
