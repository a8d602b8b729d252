"""Two measured configurations against each other: at equal concurrency, and at an equal rate of tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from controller.energy.step_fit import StepFit, fit_steps
from controller.errors import ConfigError
from controller.study.measured import Configuration, Measured, measured


@dataclass(frozen=True, slots=True)
class AtConcurrency:
    """Both at one batch; None where a configuration was not measured that far.

    Attributes:
        base_j, other_j: joules an output token, on the line between the measured rows around.
        change_frac: of other against base.
        fitted_change_frac: the same by the straight lines of step time and energy that the planner uses.
        step_change_frac: of the time between two tokens of a sequence.
    """

    concurrency: float
    base_j: float | None
    other_j: float | None
    change_frac: float | None
    fitted_change_frac: float
    step_change_frac: float | None


@dataclass(frozen=True, slots=True)
class AtRate:
    """Both at one rate; None where a configuration does not reach it or was not measured so low.

    Attributes:
        base_w, other_w: power of the instance.
        base_step_s, other_step_s: time between two tokens of a sequence.
    """

    tokens_per_s: float
    base_w: float | None
    other_w: float | None
    change_frac: float | None
    base_step_s: float | None
    other_step_s: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """All comparisons of a pair.

    Attributes:
        break_even: concurrency from which on the other needs less energy a token, as measured; None where the ranking
            does not change within what was measured.
        fitted_break_even: the same by the fitted lines, where they cross at a positive batch.
    """

    name: str
    base: Configuration
    other: Configuration
    at_concurrency: tuple[AtConcurrency, ...]
    at_rate: tuple[AtRate, ...]
    break_even: float | None
    fitted_break_even: float | None


def rank(
    name: str,
    base: Configuration,
    other: Configuration,
    *,
    concurrency: Sequence[float],
    rates_tokens_per_s: Sequence[float],
) -> Ranking:
    """Compare a pair.

    Raises:
        ConfigError: a configuration was not measured, or not often enough for a fit.
    """
    a, b = measured(base), measured(other)
    fit_a, fit_b = _fit(a), _fit(b)
    return Ranking(
        name=name,
        base=base,
        other=other,
        at_concurrency=tuple(_at_concurrency(a, b, fit_a, fit_b, batch) for batch in concurrency),
        at_rate=tuple(_at_rate(a, b, rate) for rate in rates_tokens_per_s),
        break_even=_break_even(a, b),
        fitted_break_even=_crossing(fit_a, fit_b),
    )


def _fit(found: Measured) -> StepFit:
    try:
        return fit_steps(tuple(row.sample for row in found.rows))
    except ValueError as error:
        raise ConfigError(f"{found.configuration}: {error}") from error


def _at_concurrency(a: Measured, b: Measured, fit_a: StepFit, fit_b: StepFit, batch: float) -> AtConcurrency:
    base_j, other_j = a.j_per_output_token(batch), b.j_per_output_token(batch)
    return AtConcurrency(
        concurrency=batch,
        base_j=base_j,
        other_j=other_j,
        change_frac=_change(base_j, other_j),
        fitted_change_frac=fit_b.energy.at(batch) / fit_a.energy.at(batch) - 1,
        step_change_frac=_change(a.step_s(batch), b.step_s(batch)),
    )


def _at_rate(a: Measured, b: Measured, rate: float) -> AtRate:
    (base_w, base_step_s), (other_w, other_step_s) = _power(a, rate), _power(b, rate)
    return AtRate(rate, base_w, other_w, _change(base_w, other_w), base_step_s, other_step_s)


def _power(found: Measured, rate: float) -> tuple[float | None, float | None]:
    batch = found.batch_at_rate(rate)
    step_s = None if batch is None else found.step_s(batch)
    step_j = None if batch is None else found.step_j(batch)
    return (None, None) if step_s is None or step_j is None else (step_j / step_s, step_s)


def _change(base: float | None, other: float | None) -> float | None:
    return None if base is None or other is None else other / base - 1


def _break_even(a: Measured, b: Measured) -> float | None:
    """Batch at which both need the same energy and beyond which the other needs less, by bisection between rows."""
    batches = sorted({row.sample.batch for row in (*a.rows, *b.rows)})
    differences = [(batch, _gap(a, b, batch)) for batch in batches]
    known = [(batch, gap) for batch, gap in differences if gap is not None]
    crossing = None
    for (low, before), (high, after) in pairwise(known):
        if before > 0 >= after:
            crossing = (low, high)
    if crossing is None:
        return None
    low, high = crossing
    for _ in range(50):
        middle = (low + high) / 2
        gap = _gap(a, b, middle)
        if gap is not None and gap > 0:
            low = middle
        else:
            high = middle
    return high


def _gap(a: Measured, b: Measured, batch: float) -> float | None:
    base_j, other_j = a.step_j(batch), b.step_j(batch)
    return None if base_j is None or other_j is None else other_j - base_j


def _crossing(a: StepFit, b: StepFit) -> float | None:
    """Batch at which the fitted step energies A + C·B are equal and the other's is the flatter line."""
    flatter = a.energy.slope - b.energy.slope
    batch = (b.energy.intercept - a.energy.intercept) / flatter if flatter > 0 else 0.0
    return batch if batch > 0 else None
