"""Whether a fit may be used for planning. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from controller.energy.steady_sample import Sample, in_steady_state
from controller.energy.step_fit import StepFit, fit_steps
from controller.errors import FitRefused

LEAST_BATCHES = 4
"""Of a narrowed fit: with fewer, every line holds."""
DROPPED_FRAC = 0.05
"""Share of the batches that a narrowing step drops, one at least."""
MOST_HELD_OUT_MAPE_FRAC = 0.15
"""A fit that misses measurements it did not see by more than this in the mean is refused."""
REMEDY = (
    ": repeat it, leave out batches at which the engine queued or throttled, or fit only the batches that the pool "
    "runs at, as a bent curve is straighter there"
)


def refusal(fit: StepFit, most_frac: float = MOST_HELD_OUT_MAPE_FRAC) -> str | None:
    """Why a fit may not be used, and what to do; None where it may.

    What counts is what a plan reads: power and throughput. The time between tokens is reported beside them.
    """
    errors = (("power", fit.power), ("throughput", fit.throughput))
    poor = [(name, found.held_out_mape_frac) for name, found in errors if not found.held_out_mape_frac <= most_frac]
    if not poor:
        return None
    told = " and ".join(f"{name} by {100 * error:.1f} %" for name, error in poor)
    worst = max(fit.samples, key=lambda sample: _miss(fit, sample))
    return (
        f"held out, the fit misses {told}, more than the {100 * most_frac:g} % that plans are made with. Farthest off "
        f"is batch {worst.batch:.4g}, by {100 * _miss(fit, worst):.0f} %{REMEDY}"
    )


def require_accepted(fit: StepFit, most_frac: float = MOST_HELD_OUT_MAPE_FRAC) -> None:
    """Refuse a fit that misses what it did not see.

    Raises:
        FitRefused: with the reason and the remedy.
    """
    reason = refusal(fit, most_frac)
    if reason is not None:
        raise FitRefused(reason)


def narrowed(samples: Sequence[Sample], most_frac: float = MOST_HELD_OUT_MAPE_FRAC) -> StepFit | None:
    """An accepted fit to fewer batches: over a narrower range a bent curve is straighter.

    The smallest or the largest batches are dropped, whichever leaves the smaller error, until the fit may be used.
    Beyond `StepFit.batches` it tells nothing.

    Returns:
        The fit; None where not even `LEAST_BATCHES` batches carry one.
    """
    kept = sorted((sample for sample in samples if in_steady_state(sample)), key=lambda sample: sample.batch)
    while len({sample.batch for sample in kept}) >= LEAST_BATCHES:
        fit = _fit(kept)
        if fit is not None and refusal(fit, most_frac) is None:
            return fit
        batches = sorted({sample.batch for sample in kept})
        dropped = max(1, int(DROPPED_FRAC * len(batches)))
        kept = min((_above(kept, batches[dropped - 1]), _below(kept, batches[-dropped])), key=_error)
    return None


def _above(samples: Sequence[Sample], batch: float) -> list[Sample]:
    return [sample for sample in samples if sample.batch > batch]


def _below(samples: Sequence[Sample], batch: float) -> list[Sample]:
    return [sample for sample in samples if sample.batch < batch]


def _fit(samples: Sequence[Sample]) -> StepFit | None:
    try:
        return fit_steps(tuple(samples))
    except FitRefused:
        return None


def _error(samples: Sequence[Sample]) -> float:
    fit = _fit(samples)
    return math.inf if fit is None else max(fit.power.held_out_mape_frac, fit.throughput.held_out_mape_frac)


def _miss(fit: StepFit, sample: Sample) -> float:
    step_s = fit.time.at(sample.batch, sample.prompt_tokens_per_step)
    power_w = fit.energy.at(sample.batch, sample.prompt_tokens_per_step) / step_s
    return max(abs(step_s / sample.step_s - 1), abs(power_w / sample.power_w - 1))
