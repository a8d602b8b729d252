"""Power of an instance at any load, below continuous occupancy and without work included. Pure.

While it decodes at all an instance draws P0 + e·μ + q·κ. With less than one sequence in the batch on average it is busy
for a share φ of the time only and idle for the rest; as energy is additive over steps,

    P = P_idle·(1 − φ) + P0·φ + e·μ + q·κ        [W]

with μ and κ the decoded and prompt tokens a second over all the time. Hence P lies between P_idle and the line above.

φ for arrivals at random: an instance whose step gives each of k sequences a token shares its rate k/T(k) among them, so
that the number in it has the distribution π_k ∝ Π_{j ≤ k} μ·T(j)/j whatever the lengths of the answers are (processor
sharing with a rate that depends on the number; Kelly, Reversibility and Stochastic Networks, 1979, section 3.3), and
φ = 1 − π_0. Prompts are counted by the prefill that falls on a decoded token, b + p·κ/μ in place of b. For requests one
after the other φ = μ·T(1), the most it can be.

Over a few seconds the mean says less than the engine's own count of its steps: S steps a second take a·S + b·μ + p·κ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.energy.window import Window
from controller.errors import FitRefused
from controller.model.perf import PoolCurves

CERTAIN = 1e12
"""Odds of being busy beyond which the rest does not matter."""
NEVER_EMPTY = 6.0
"""Mean batch of its steps above which an engine that is busy at both ends is taken as busy throughout."""


class Arrivals(StrEnum):
    """How requests come in below continuous occupancy."""

    AT_RANDOM = "at_random"
    ONE_BY_ONE = "one_by_one"


@dataclass(frozen=True, slots=True)
class Load:
    """Work of an instance a second, averaged over all the time.

    Attributes:
        steps_per_s: as the engine counts them; None where it does not.
    """

    tokens_per_s: float
    prompt_tokens_per_s: float = 0.0
    steps_per_s: float | None = None


def busy_frac(curves: PoolCurves, load: Load, arrivals: Arrivals = Arrivals.AT_RANDOM) -> float:
    """Share of the time in which an instance has work; one where the load is all it can serve or more.

    By its steps where they are counted, else by how requests come in.
    """
    rate = load.tokens_per_s
    if load.steps_per_s is not None:
        tokens_s = curves.step_per_seq_s * rate + curves.prefill_s_per_token * load.prompt_tokens_per_s
        return min(1.0, curves.step_base_s * load.steps_per_s + tokens_s)
    if rate <= 0:
        return min(1.0, curves.prefill_s_per_token * load.prompt_tokens_per_s)
    per_seq_s = curves.step_per_seq_s + curves.prefill_s_per_token * load.prompt_tokens_per_s / rate
    if arrivals is Arrivals.ONE_BY_ONE:
        return min(1.0, rate * (curves.step_base_s + per_seq_s))
    odds, weight = 0.0, 1.0
    for batch in range(1, curves.max_num_seqs + 1):
        weight *= rate * (curves.step_base_s / batch + per_seq_s)
        odds += weight
        if odds > CERTAIN:
            return 1.0
    full = rate * (curves.step_base_s / curves.max_num_seqs + per_seq_s)
    if full >= 1:
        return 1.0
    odds += weight * full / (1 - full)
    return odds / (1 + odds)


def power_w(curves: PoolCurves, load: Load, arrivals: Arrivals = Arrivals.AT_RANDOM) -> float:
    """Power of an awake instance at a load."""
    return power_while_w(curves, load, busy_frac(curves, load, arrivals))


def power_while_w(curves: PoolCurves, load: Load, busy: float) -> float:
    """Power of an awake instance at a load that keeps it busy for a share of the time."""
    decode_w = max(0.0, curves.decode_j_per_token) * load.tokens_per_s
    prefill_w = curves.prefill_j_per_token * load.prompt_tokens_per_s
    return curves.idle_w * (1 - busy) + curves.p0_w * busy + decode_w + prefill_w


def is_never_empty(tokens: float, steps: float | None, running: tuple[int, int]) -> bool:
    """Whether an engine surely had work throughout an interval.

    Args:
        tokens: decoded in it, or a second.
        steps: likewise; None where the engine counts none.
        running: sequences in the batch at its beginning and at its end.
    """
    if tokens <= 0 or min(running) < 2:
        return False
    return tokens >= NEVER_EMPTY * steps if steps is not None else min(running) >= NEVER_EMPTY


@dataclass(frozen=True, slots=True)
class RestPower:
    """Power in a state without work.

    Attributes:
        sd_w: of the mean.
    """

    mean_w: float
    sd_w: float
    windows: int


def rest_power(windows: Sequence[Window]) -> RestPower:
    """Power while idle, asleep or off, from windows without work.

    Raises:
        FitRefused: fewer than two windows, one that cannot be, or one in which work was done.
    """
    if len(windows) < 2:
        raise FitRefused(f"{len(windows)} windows without work tell no spread; take at least two")
    for window in windows:
        window.check()
        if window.prompt_tokens or window.generation_tokens:
            raise FitRefused(
                f"a window to be without work had {window.prompt_tokens:g} prompt and {window.generation_tokens:g} "
                "generated tokens; keep traffic away from the instance"
            )
    powers = [window.energy_j / window.wall_s for window in windows]
    mean = sum(powers) / len(powers)
    variance = sum((power - mean) ** 2 for power in powers) / (len(powers) - 1)
    return RestPower(mean, math.sqrt(variance / len(powers)), len(powers))


def require_states_in_order(curves: PoolCurves) -> None:
    """Refuse curves in which less work draws more.

    Raises:
        FitRefused: off, asleep, idle and P0 do not rise in that order, or one is negative.
    """
    states = (
        ("off_w", curves.off_w),
        ("sleeping_w", curves.sleeping_w),
        ("idle_w", curves.idle_w),
        ("P0", curves.p0_w),
    )
    low_name, low_w = "zero", 0.0
    for name, value_w in states:
        if not value_w >= low_w:
            raise FitRefused(
                f"{name} is {value_w:.4g} W, below {low_name} ({low_w:.4g} W): such curves would pay for doing more; "
                "measure both again, each over at least 10 s with the state confirmed"
            )
        low_name, low_w = name, value_w
