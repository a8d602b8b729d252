"""Two precisions of a model against each other, as measured and as fits have it. Pure.

At equal concurrency the energy of a step counts, which needs the step time. At equal rates, which is what a plan
compares, power counts: P0 + e·μ by either fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from controller.energy.bent_fit import BentFit
from controller.energy.steady_sample import Sample
from controller.energy.step_fit import StepFit
from controller.study.fit.configurations import Fitted

CLEAR_FRAC = 0.03
"""A difference in energy beyond which calling the other precision the better one counts as a wrong rank."""

Curve = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Wrong:
    """How often fits call the wrong precision the better one.

    Attributes:
        points: measured in one of both, within what was measured of both, at which they differ by more than 3 %.
        straight, bent: of these, at how many a fit is wrong.
    """

    points: int
    straight: int
    bent: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """FP8 against BF16 of a model on one GPU type, an instance of either.

    Attributes:
        batches: by joules an output token at equal concurrency.
        rates: by power at equal rates of output tokens.
        break_even: concurrency from which on FP8 needs less, as measured; None where the rank does not change.
        straight_break_even, bent_break_even: the same by the fits.
    """

    base: str
    other: str
    batches: Wrong
    rates: Wrong
    break_even: float | None
    straight_break_even: float | None
    bent_break_even: float | None


@dataclass(frozen=True, slots=True)
class _Known:
    """A configuration with both fits."""

    name: str
    samples: tuple[Sample, ...]
    straight: StepFit
    bent: BentFit


def rank_precisions(fits: Sequence[Fitted]) -> tuple[Ranked, ...]:
    """Every FP8 configuration against every BF16 one of its model and GPU type."""
    return tuple(
        _rank(known_base, known_other)
        for base in fits
        for other in fits
        if base.rows.model is not None
        and (base.rows.model, base.rows.gpu) == (other.rows.model, other.rows.gpu)
        and (base.rows.precision, other.rows.precision) == ("bfloat16", "fp8")
        and (known_base := _known(base)) is not None
        and (known_other := _known(other)) is not None
    )


def _known(fitted: Fitted) -> _Known | None:
    if fitted.straight is None or fitted.bent is None:
        return None
    return _Known(fitted.rows.name, fitted.straight.samples, fitted.straight, fitted.bent)


def _rank(base: _Known, other: _Known) -> Ranked:
    batches = _shared(*({s.batch for s in known.samples} for known in (base, other)))
    step = _Changes(
        _change(*(_between(_least((s.batch, s.step_j) for s in known.samples)) for known in (base, other))),
        _change(base.straight.energy.at, other.straight.energy.at),
        _change(base.bent.step_j_at, other.bent.step_j_at),
    )
    rates = _shared(*({s.tokens_per_s for s in known.samples} for known in (base, other)))
    power = _Changes(
        _change(*(_between(_least((s.tokens_per_s, s.power_w) for s in known.samples)) for known in (base, other))),
        _change(base.straight.power_w_at, other.straight.power_w_at),
        _change(base.bent.power_w_at, other.bent.power_w_at),
    )
    return Ranked(
        base.name,
        other.name,
        step.wrong_at(batches),
        power.wrong_at(rates),
        *(_break_even(change, batches) for change in (step.measured, step.straight, step.bent)),
    )


@dataclass(frozen=True, slots=True)
class _Changes:
    """How much more the other one needs, as a share."""

    measured: Curve
    straight: Curve
    bent: Curve

    def wrong_at(self, points: Sequence[float]) -> Wrong:
        clear = [x for x in points if abs(self.measured(x)) > CLEAR_FRAC]
        straight, bent = (
            sum((fit(x) > 0) != (self.measured(x) > 0) for x in clear) for fit in (self.straight, self.bent)
        )
        return Wrong(len(clear), straight, bent)


def _shared(one: set[float], two: set[float]) -> list[float]:
    low, high = max(min(one), min(two)), min(max(one), max(two))
    return sorted(x for x in one | two if low <= x <= high)


def _least(points: Iterable[tuple[float, float]]) -> dict[float, float]:
    """Of several at one place the smallest."""
    found: dict[float, float] = {}
    for x, y in points:
        found[x] = min(y, found.get(x, y))
    return found


def _between(points: Mapping[float, float]) -> Curve:
    """The line between the measurements around."""
    known = sorted(points.items())

    def at(x: float) -> float:
        for (before, low), (after, high) in pairwise(known):
            if before <= x <= after:
                return low + (high - low) * (x - before) / (after - before)
        raise ValueError(f"{x:g} is outside of what was measured, {known[0][0]:g} to {known[-1][0]:g}")

    return at


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
