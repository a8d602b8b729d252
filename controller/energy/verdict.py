"""Whether a fit may be used for planning. Pure."""

from __future__ import annotations

from controller.energy.step_fit import Sample, StepFit
from controller.errors import FitRefused

MOST_HELD_OUT_MAPE_FRAC = 0.15
"""A fit that misses measurements it did not see by more than this in the mean is refused."""


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
        f"is batch {worst.batch:.4g}, by {100 * _miss(fit, worst):.0f} %: repeat it, leave out batches at which the "
        "engine queued or throttled, and measure more in between"
    )


def require_accepted(fit: StepFit, most_frac: float = MOST_HELD_OUT_MAPE_FRAC) -> None:
    """Refuse a fit that misses what it did not see.

    Raises:
        FitRefused: with the reason and the remedy.
    """
    reason = refusal(fit, most_frac)
    if reason is not None:
        raise FitRefused(reason)


def _miss(fit: StepFit, sample: Sample) -> float:
    step_s = fit.time.at(sample.batch, sample.prompt_tokens_per_step)
    power_w = fit.energy.at(sample.batch, sample.prompt_tokens_per_step) / step_s
    return max(abs(step_s / sample.step_s - 1), abs(power_w / sample.power_w - 1))
