"""What an instance did between two readings of its counters. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.energy.steady_sample import Sample
from controller.errors import FitRefused

MOST_IDLE_FRAC = 0.01
"""Of a window that is taken as one of continuous work."""


@dataclass(frozen=True, slots=True)
class Window:
    """Differences of an instance's counters over a window.

    Attributes:
        wall_s: length of the window.
        energy_j: whole instance.
        prompt_tokens: computed.
        generation_tokens: emitted, first tokens included.
        answers: prompts completed; each gives the first token of an answer, which no decode step made.
        busy_s: time spent in steps; None where the instance worked all the time.
        steps: finished; None where the engine does not count them (vLLM: vllm:iteration_tokens_total_count).
        mean_running: sequences in the batch, averaged over `busy_s`; used where `steps` is None.
        median_itl_s: between two tokens of a sequence; None where it was not measured.
    """

    wall_s: float
    energy_j: float
    prompt_tokens: float
    generation_tokens: float
    answers: float
    busy_s: float | None = None
    steps: float | None = None
    mean_running: float | None = None
    median_itl_s: float | None = None

    @property
    def decode_tokens(self) -> float:
        """Tokens that decode steps made."""
        return self.generation_tokens - self.answers

    @property
    def working_s(self) -> float:
        """Time spent in steps."""
        return self.wall_s if self.busy_s is None else self.busy_s

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            FitRefused: a figure is negative or not finite, no time or energy passed, or fewer tokens than answers.
        """
        for name in ("wall_s", "energy_j", "prompt_tokens", "generation_tokens", "answers"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise FitRefused(f"{name} is {value:g}; a counter was reset within the window: leave it out")
        if self.wall_s <= 0 or self.energy_j <= 0:
            raise FitRefused(f"{self.energy_j:g} J in {self.wall_s:g} s; read the counters at two times that differ")
        if not 0 <= self.working_s <= self.wall_s * (1 + 1e-9):
            raise FitRefused(f"busy_s is {self.working_s:g} of {self.wall_s:g} s; it must lie between none and all")
        if self.decode_tokens < 0:
            raise FitRefused(
                f"{self.answers:g} answers began with {self.generation_tokens:g} tokens; read both counters at once"
            )

    def sample(self, cell: str | None = None) -> Sample:
        """The window as a steady-state measurement of an instance that worked all the time.

        Raises:
            FitRefused: the window cannot be, nothing was decoded, the instance was idle for more than a hundredth of
                it, or neither steps nor running sequences are known.
        """
        self.check()
        if self.wall_s - self.working_s > MOST_IDLE_FRAC * self.wall_s:
            raise FitRefused(
                f"the instance was idle for {self.wall_s - self.working_s:.3g} of {self.wall_s:.3g} s; "
                "keep at least one request running throughout"
            )
        if self.decode_tokens == 0:
            raise FitRefused("nothing was decoded in the window; ask for answers of more than one token")
        steps = self._steps()
        step_s = self.working_s / steps
        return Sample(
            batch=self.decode_tokens / steps,
            tokens_per_s=self.decode_tokens / self.working_s,
            power_w=self.energy_j / self.wall_s,
            median_itl_s=step_s if self.median_itl_s is None else self.median_itl_s,
            prompt_tokens_per_s=self.prompt_tokens / self.working_s,
            cell=cell,
        )

    def _steps(self) -> float:
        if self.steps is not None and self.steps > 0:
            return self.steps
        if self.mean_running is not None and self.mean_running > 0:
            return self.generation_tokens / self.mean_running
        raise FitRefused("neither steps nor mean_running is known; read one of them, or the batch stays unknown")
