"""Requests to one instance: when they come, how long they are, and which of them may be held. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from controller.simulation.trace import Arrival


class Pattern(StrEnum):
    """How arrivals of one mean rate are spread."""

    PACED = "evenly paced"
    POISSON = "Poisson"
    BURSTS = "bursts"


@dataclass(frozen=True, slots=True)
class Job:
    """One request.

    Attributes:
        is_flex: whether it may be held.
    """

    time_s: float
    input_tokens: int
    output_tokens: int
    is_flex: bool


@dataclass(frozen=True, slots=True)
class Demand:
    """What arrives.

    Attributes:
        rate_rps: mean arrivals a second, positive.
        duration_s: time during which they arrive, positive.
        flex_share_frac: share of the requests that may be held, by chance.
        burst: requests that come at once in BURSTS.
    """

    rate_rps: float
    duration_s: float
    flex_share_frac: float
    pattern: Pattern = Pattern.POISSON
    burst: int = 20


def make_jobs(demand: Demand, lengths: Sequence[Arrival], seed: int) -> tuple[Job, ...]:
    """Requests in order of arrival; lengths are those of the trace, in its order, from the start again where it ends.

    The same seed gives the same times and lengths at every flexible share, and a request that may be held at one share
    may be held at every larger one.

    Raises:
        ValueError: a rate, a duration or a share that makes no sense, or no lengths.
    """
    if not (0 < demand.rate_rps < float("inf") and 0 < demand.duration_s < float("inf")):
        raise ValueError(f"rate {demand.rate_rps} 1/s over {demand.duration_s} s: both must be positive")
    if not 0 <= demand.flex_share_frac <= 1:
        raise ValueError(f"flexible share {demand.flex_share_frac} is not between 0 and 1")
    if not lengths:
        raise ValueError("a trace without requests gives no lengths")
    rng = np.random.default_rng(seed)
    times_s = _times(demand, rng)
    chance = rng.random(len(times_s))
    return tuple(
        Job(
            float(time_s),
            lengths[number % len(lengths)].input_tokens,
            lengths[number % len(lengths)].output_tokens,
            bool(chance[number] < demand.flex_share_frac),
        )
        for number, time_s in enumerate(times_s)
    )


def _times(demand: Demand, rng: np.random.Generator) -> Sequence[float]:
    """Times of arrival; as many in every pattern as the mean rate makes."""
    count = max(1, round(demand.rate_rps * demand.duration_s))
    if demand.pattern is Pattern.PACED:
        return [number / demand.rate_rps for number in range(count)]
    if demand.pattern is Pattern.BURSTS:
        return [number // demand.burst * demand.burst / demand.rate_rps for number in range(count)]
    drawn: list[float] = np.sort(rng.random(count) * demand.duration_s).tolist()
    return drawn
