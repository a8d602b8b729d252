"""From measured cells to the fit of an instance, by `controller.energy`. Pure.

Over a window of N engine steps in which D tokens were decoded and K prompt tokens computed, the model of
`controller.model.perf` adds up exactly, whatever the batches within the window were:

    busy time    W = a·N + b·D + p·K        [s]
    energy       E = A·N + C·D + R·K        [J]

Divided by N these are the planes that `controller.energy.step_fit` fits, over the mean batch D/N and the prompt tokens
of a step K/N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.energy.steady_sample import Sample
from controller.energy.step_fit import StepFit, fit_steps
from controller.energy.verdict import require_accepted
from controller.errors import FitRefused, ProfileError
from controller.model.perf import FITTED

LEAST_ROWS = 5
LEAST_NOISE_FRAC = 0.003
"""Relative error that a cell is taken to have at least: meters and clocks are no better, however straight the line."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """Totals of one steady window of a whole instance.

    Attributes:
        steps: N, engine steps.
        decode_tokens: D, tokens of answers but the first of each, which the prompt's last step gives.
        prompt_tokens: K, prompt tokens computed, those from a prefix cache left out.
        busy_s: time with at least one request in the engine.
        energy_j: in that time.
    """

    steps: float
    decode_tokens: float
    prompt_tokens: float
    busy_s: float
    energy_j: float

    @property
    def batch(self) -> float:
        """Mean sequences that decode in a step."""
        return self.decode_tokens / self.steps

    @property
    def power_w(self) -> float:
        """Mean power while busy."""
        return self.energy_j / self.busy_s

    def sample(self, cell: str) -> Sample:
        """As the fit takes it; whether it was steady is judged where it is measured."""
        return Sample(
            batch=self.batch,
            tokens_per_s=self.decode_tokens / self.busy_s,
            power_w=self.power_w,
            median_itl_s=self.busy_s / self.steps,
            prompt_tokens_per_s=self.prompt_tokens / self.busy_s,
            cell=cell,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """The fit.

    Attributes:
        noise_time_frac, noise_energy_frac: relative error of a cell about the fit.
        power_errors_frac: of each cell, fitted over measured power, less one.
    """

    steps: StepFit
    noise_time_frac: float
    noise_energy_frac: float
    power_errors_frac: tuple[float, ...]

    @property
    def time_terms(self) -> Array:
        """(3,), time of one step, of a decoded and of a prompt token."""
        time = self.steps.time
        return np.array([time.intercept, time.slope, time.per_prompt_token or 0.0])

    @property
    def energy_terms(self) -> Array:
        """(3,), energy of one step, of a decoded and of a prompt token."""
        energy = self.steps.energy
        return np.array([energy.intercept, energy.slope, energy.per_prompt_token or 0.0])

    def check(self) -> None:
        """Refuse a fit that cannot be used.

        Raises:
            FitRefused: it misses cells it had not seen.
            ProfileError: a parameter is zero that cannot be.
        """
        require_accepted(self.steps)
        for name, value in zip(FITTED, self.steps.parameters(), strict=True):
            if name.startswith("step_") and not value > 0:
                raise ProfileError(
                    f"{name} came out as {value:g}, but it must be above zero: the loads were too much alike, or the "
                    "power source does not see these GPUs; raise --max-concurrency, or check --power and --gpu-uuid"
                )


def terms(rows: Sequence[Row]) -> Array:
    """(rows, 3): one, decoded and prompt tokens of a step."""
    return np.array([[1.0, row.batch, row.prompt_tokens / row.steps] for row in rows])


def estimate(rows: Sequence[Row], cells: Sequence[str]) -> Estimate:
    """Fit both planes.

    Args:
        rows: of the usable cells.
        cells: their names; rows of one name are held out together.

    Raises:
        FitRefused: there are too few cells, or they do not tell the three terms apart.
    """
    if len(rows) < LEAST_ROWS:
        raise FitRefused(
            f"{len(rows)} usable cells are too few for a fit, {LEAST_ROWS} are needed: the table of cells says why the "
            "others were left out"
        )
    fit = fit_steps(tuple(row.sample(cell) for row, cell in zip(rows, cells, strict=True)))
    found = Estimate(fit, 0.0, 0.0, ())
    design = terms(rows)
    step_s, step_j = design @ found.time_terms, design @ found.energy_terms
    time_errors = step_s / np.array([row.busy_s / row.steps for row in rows]) - 1
    energy_errors = step_j / np.array([row.energy_j / row.steps for row in rows]) - 1
    power_w = np.array([row.power_w for row in rows])
    return Estimate(fit, _noise(time_errors), _noise(energy_errors), tuple((step_j / step_s / power_w - 1).tolist()))


def _noise(errors: Array) -> float:
    """Standard deviation of a cell about a plane of three terms."""
    return max(LEAST_NOISE_FRAC, float(np.sqrt(errors @ errors / max(1, len(errors) - 3))))
