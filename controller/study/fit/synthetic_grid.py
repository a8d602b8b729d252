"""A SYNTHETIC grid of requests in the shape of the published ones, for trying the comparison. No GPU was measured.

Lengths are 8 to 2048 in powers of two on both axes, 81 requests a model, as published (Wilkins, Keshav and Mortier,
HotCarbon 2024). The published models themselves go below zero on that grid and cannot make one. The figures come from
what a generation without a key-value cache does, as theirs was: each token computes all tokens before it again,

    y = fixed + w·τout + v·(τin·τout + τout²/2)

with coefficients of the size that fits to the published measurements give, times noise of 10 %.
"""

from __future__ import annotations

import math
from random import Random

SEED = 2407
SPREAD = 0.10
SIZES = tuple(8 * 2**power for power in range(9))
MODELS = {
    # (fixed, w, v) of energy [J] and of runtime [s].
    "synthetic-7b": ((9.0, 3.2, 0.033), (0.05, 0.021, 1.0e-4)),
    "synthetic-13b": ((6.0, 5.6, 0.060), (0.07, 0.026, 1.7e-4)),
    "synthetic-moe": ((60.0, 44.0, 0.090), (0.4, 0.19, 1.4e-4)),
}
HEAD = (
    "# SYNTHETIC: made by controller/study/fit/synthetic_grid.py, no GPU was measured\n"
    "model,input_tokens,output_tokens,energy_j,runtime_s\n"
)


def synthetic_grid(rng: Random) -> str:
    """The grid as CSV."""
    lines = []
    for model, figures in MODELS.items():
        for tin in SIZES:
            for tout in SIZES:
                values = [_figure(coefficients, tin, tout) * math.exp(rng.gauss(0, SPREAD)) for coefficients in figures]
                lines.append(f"{model},{tin},{tout}," + ",".join(f"{value:.6g}" for value in values))
    return HEAD + "\n".join(lines) + "\n"


def _figure(coefficients: tuple[float, float, float], tin: int, tout: int) -> float:
    fixed, per_token, per_pair = coefficients
    return fixed + per_token * tout + per_pair * (tin * tout + tout**2 / 2)
