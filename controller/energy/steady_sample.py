"""A steady-state measurement of a whole instance, and whether it was one. Pure.

At batch B with throughput μ [token/s], power P [W] and κ prompt tokens computed a second, a step, which gives each
sequence one token, took B/μ seconds and P·B/μ joules and computed κ·B/μ prompt tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ODD_RATIO = 1.5
"""A row whose step time is this far from its median inter-token latency was not in steady state: sequences were queued
or preempted, and the average batch does not describe its steps."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One steady-state measurement of a whole instance.

    Attributes:
        batch: sequences that decode in a step, on average.
        tokens_per_s: decoded tokens.
        median_itl_s: between two tokens of a sequence.
        prompt_tokens_per_s: prompt tokens computed; None where they were not counted.
        cell: measurements of the same cell are held out together; None where each stands for itself.
    """

    batch: float
    tokens_per_s: float
    power_w: float
    median_itl_s: float
    prompt_tokens_per_s: float | None = None
    cell: str | None = None

    @property
    def step_s(self) -> float:
        """Time of a step."""
        return self.batch / self.tokens_per_s

    @property
    def step_j(self) -> float:
        """Energy of a step."""
        return self.power_w * self.step_s

    @property
    def prompt_tokens_per_step(self) -> float:
        """Prompt tokens computed in a step; zero where they were not counted."""
        return (self.prompt_tokens_per_s or 0.0) * self.step_s


def in_steady_state(sample: Sample) -> bool:
    """Whether the figures are finite, positive and describe the same steps.

    With prompts a step is longer than the median one; only one that is too short is then odd.
    """
    figures = (sample.batch, sample.tokens_per_s, sample.power_w, sample.median_itl_s)
    if not all(map(math.isfinite, figures)) or min(figures) <= 0:
        return False
    prompts = sample.prompt_tokens_per_s
    if prompts is not None and not (math.isfinite(prompts) and prompts >= 0):
        return False
    ratio = sample.step_s / sample.median_itl_s
    return ratio >= 1 / ODD_RATIO and (ratio <= ODD_RATIO or bool(prompts))
