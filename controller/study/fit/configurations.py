"""Fits of every configuration of a file, and two precisions of a model against each other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from controller.energy.bent_fit import BentFit, fit_bent
from controller.energy.step_fit import Sample, StepFit, fit_steps, in_steady_state
from controller.energy.verdict import narrowed, refusal
from controller.errors import FitRefused
from controller.study.fit.rows import Kind, Rows

CLEAR_FRAC = 0.03
"""A difference in energy beyond which calling the other precision the better one counts as a wrong rank."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """One configuration.

    Attributes:
        odd: samples out of steady state, which are left out.
        straight: None where the measurements carry no fit.
        bent: None where they carry none, or prompt tokens were counted.
        refused: why plans may not be made with `straight`; None where they may.
        narrowed: of a refused one, an accepted fit to fewer batches; None where there is none.
    """

    rows: Rows
    odd: tuple[Sample, ...]
    straight: StepFit | None
    bent: BentFit | None
    refused: str | None
    narrowed: StepFit | None = None


def fit_rows(rows: Rows) -> Fitted:
    """Both fits of a configuration; a refusal is a result."""
    odd = tuple(sample for sample in rows.samples if not in_steady_state(sample))
    try:
        straight = fit_steps(rows.samples)
    except FitRefused as error:
        return Fitted(rows, odd, None, None, str(error))
    refused = refusal(straight)
    return Fitted(
        rows, odd, straight, _bent(straight), refused, None if refused is None else narrowed(straight.samples)
    )


def _bent(straight: StepFit) -> BentFit | None:
    if straight.prefill_s_per_token is not None:
        return None
    try:
        return fit_bent(straight.samples)
    except FitRefused:
        return None


@dataclass(frozen=True, slots=True)
class Medians:
    """Median held-out errors over the configurations of a kind; bent over those that carry a bent fit."""

    kind: Kind
    configurations: int
    refused: int
    power_frac: float
    throughput_frac: float
    itl_frac: float
    bent_power_frac: float | None
    bent_throughput_frac: float | None
    bent_itl_frac: float | None


def medians(fits: Sequence[Fitted]) -> tuple[Medians, ...]:
    """By kind, in the order of `Kind`, where there is a fit."""
    found = []
    for kind in Kind:
        straight = [f.straight for f in fits if f.rows.kind is kind and f.straight is not None]
        bent = [f.bent for f in fits if f.rows.kind is kind and f.bent is not None]
        if not straight:
            continue
        found.append(
            Medians(
                kind,
                len(straight),
                sum(f.refused is not None for f in fits if f.rows.kind is kind),
                median(f.power.held_out_mape_frac for f in straight),
                median(f.throughput.held_out_mape_frac for f in straight),
                median(f.itl.held_out_mape_frac for f in straight),
                median(f.power.held_out_mape_frac for f in bent) if bent else None,
                median(f.throughput.held_out_mape_frac for f in bent) if bent else None,
                median(f.itl.held_out_mape_frac for f in bent) if bent else None,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Ranked:
    """FP8 against BF16 of a model on one GPU type, by joules an output token at equal concurrency.

    Attributes:
        batches: measured in one of both, within what was measured of both, at which they differ by more than 3 %.
        straight_wrong, bent_wrong: of these, at how many a fit calls the other one better.
        break_even: concurrency from which on FP8 needs less, as measured; None where the rank does not change.
        straight_break_even, bent_break_even: the same by the fits.
    """

    base: str
    other: str
    batches: int
    straight_wrong: int
    bent_wrong: int
    break_even: float | None
    straight_break_even: float | None
    bent_break_even: float | None


def rank_precisions(fits: Sequence[Fitted]) -> tuple[Ranked, ...]:
    """Every FP8 configuration against every BF16 one of its model and GPU type."""
    return tuple(
        _rank(base, other)
        for base in fits
        for other in fits
        if base.rows.model is not None
        and (base.rows.model, base.rows.gpu) == (other.rows.model, other.rows.gpu)
        and (base.rows.precision, other.rows.precision) == ("bfloat16", "fp8")
        and None not in (base.straight, base.bent, other.straight, other.bent)
    )


Curve = Callable[[float], float]


def _rank(base: Fitted, other: Fitted) -> Ranked:
    low, high = (
        choose(bound(fitted) for fitted in (base, other)) for choose, bound in ((max, _smallest), (min, _largest))
    )
    batches = sorted({s.batch for f in (base, other) for s in _steady(f) if low <= s.batch <= high})
    measured = _change(_measured_j(base), _measured_j(other))
    straight, bent = (_change(curve(base), curve(other)) for curve in (_straight_j, _bent_j))
    clear = [batch for batch in batches if abs(measured(batch)) > CLEAR_FRAC]
    return Ranked(
        base.rows.name,
        other.rows.name,
        len(clear),
        sum((straight(batch) > 0) != (measured(batch) > 0) for batch in clear),
        sum((bent(batch) > 0) != (measured(batch) > 0) for batch in clear),
        *(_break_even(change, batches) for change in (measured, straight, bent)),
    )


def _steady(fitted: Fitted) -> tuple[Sample, ...]:
    return () if fitted.straight is None else fitted.straight.samples


def _smallest(fitted: Fitted) -> float:
    return min(sample.batch for sample in _steady(fitted))


def _largest(fitted: Fitted) -> float:
    return max(sample.batch for sample in _steady(fitted))


def _measured_j(fitted: Fitted) -> Curve:
    """Step energy on the line between the measured batches around; of several at one batch the smallest."""
    points: dict[float, float] = {}
    for sample in _steady(fitted):
        points[sample.batch] = min(sample.step_j, points.get(sample.batch, sample.step_j))
    known = sorted(points.items())

    def at(batch: float) -> float:
        for (before, low_j), (after, high_j) in pairwise(known):
            if before <= batch <= after:
                return low_j + (high_j - low_j) * (batch - before) / (after - before)
        raise ValueError(f"batch {batch:g} is outside of what was measured of {fitted.rows.name}")

    return at


def _straight_j(fitted: Fitted) -> Curve:
    if fitted.straight is None:
        raise ValueError(f"{fitted.rows.name} carries no fit")
    return fitted.straight.energy.at


def _bent_j(fitted: Fitted) -> Curve:
    if fitted.bent is None:
        raise ValueError(f"{fitted.rows.name} carries no bent fit")
    return fitted.bent.step_j_at


def _change(base: Curve, other: Curve) -> Curve:
    return lambda batch: other(batch) / base(batch) - 1


def _break_even(change: Curve, batches: Sequence[float]) -> float | None:
    """Last crossing from above to below zero between two batches, by bisection."""
    crossing = next(((a, b) for a, b in reversed(list(pairwise(batches))) if change(a) > 0 >= change(b)), None)
    if crossing is None:
        return None
    low, high = crossing
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if change(middle) > 0 else (low, middle)
    return high
