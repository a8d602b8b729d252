"""How fast the predicted power of a pool becomes right when its curves are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.energy.pool_fit import PoolFit, predicted_w
from controller.energy.refit import learn
from controller.energy.refit_prior import prior_of
from controller.model.perf import PoolCurves
from controller.simulation.profiles import load_profile
from tests.fakes.refit_pool import TICK_S, Load, intervals, scaled_power

OUTPUT_TOKENS = 150


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of a profile, whose controller is given curves that are off by a factor."""

    profile: str
    load: str
    factor: float
    seed: int = 1


CASES = tuple(
    Case(profile, load, factor, seed)
    for seed, profile in enumerate(("llama-3.1-8b/bf16/1xh100", "qwen3-235b-a22b/fp8/4xh100"), 1)
    for load in ("low", "high", "mixed")
    for factor in (1.4, 1 / 1.4)
)


def load_of(curves: PoolCurves, kind: str) -> Load:
    """Requests that ask for 3 %, 60 % or in turn 5 to 60 % of what an instance decodes at 60 ms between tokens."""
    batch = min(float(curves.max_num_seqs), curves.batch_at_itl(0.06, 700))
    rate = curves.decode_tokens_per_s_at(batch) / OUTPUT_TOKENS
    shares = {
        "low": lambda _: 0.03,
        "high": lambda _: 0.6,
        "mixed": lambda at_s: 0.05 + 0.55 * (0.5 + 0.5 * math.sin(at_s / 120.0)),
    }
    return Load(lambda at_s: shares[kind](at_s) * rate, output_tokens=OUTPUT_TOKENS)


def minutes_of(case: Case, minutes: int) -> list[float]:
    """Energy predicted over energy drawn, less one, in each minute."""
    true = load_profile(case.profile)
    prior = prior_of(scaled_power(true, 1.0 / case.factor))
    fit, out = PoolFit.begin(prior), []
    predicted_j = drawn_j = 0.0
    for n, one in enumerate(
        intervals(lambda _: true, load_of(true, case.load), seconds=60.0 * minutes, seed=case.seed)
    ):
        predicted_j += predicted_w(fit, one) * one.wall_s
        drawn_j += one.energy_j
        fit = learn(fit, prior, (one,), TICK_S)
        if n % 12 == 11:
            out.append(predicted_j / drawn_j - 1.0)
            predicted_j = drawn_j = 0.0
    return out
