"""Which of several profiles takes less at which load, and whether that is more than their errors. Pure.

At y output tokens/s with ρ prompt tokens for each, one instance draws

    P(y) = P0 + (e + ρ·j)·y                     while at least one sequence decodes on average, and
    P(y) = idle + (P(y1) - idle)·y/y1           below the rate y1 at which that is so,

up to the rate at which its engine has no time left, its batch or its context is full. The error of P follows from the
covariance of the parameters by its derivatives, and from the error on cells that the fit had not seen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from controller.errors import ConfigError
from controller.model.perf import FITTED, PoolCurves
from controller.optimizer.workload import Lengths, batch_at_rate, busy_s_per_token, j_per_token

TWO_SIDED_95 = 1.96
STEP_FRAC = 1e-4
"""Relative step of the numerical derivatives."""
BUSY_FRAC = 0.98
"""Share of an engine's time beyond which no steady load is claimed."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One profile.

    Attributes:
        gpus: of an instance.
    """

    name: str
    gpus: int
    curves: PoolCurves


@dataclass(frozen=True, slots=True)
class Point:
    """One contender at one load.

    Attributes:
        power_w: of one instance.
        error_w: half width of its 95 % interval; None where it is not known.
        batch: mean sequences that decode.
        j_per_token: power over rate.
    """

    power_w: float
    error_w: float | None
    batch: float
    j_per_token: float


@dataclass(frozen=True, slots=True)
class LoadRow:
    """All contenders at one load.

    Attributes:
        points: in the order of the contenders; None beyond what an instance can serve.
        winner: index of the least power where that is certain at 95 %, else None.
        lead_frac: how far below the next it is; None where nothing else serves the load.
        reason: why there is no winner, or whom it is ahead of.
    """

    tokens_per_s: float
    points: tuple[Point | None, ...]
    winner: int | None
    reason: str
    lead_frac: float | None = None


def capacity_tokens_per_s(curves: PoolCurves, lengths: Lengths) -> float:
    """Largest steady output rate of one instance: by time, by batch, by room for context."""
    batch = min(float(curves.max_num_seqs), curves.kv_capacity_tokens / (lengths.input_tokens + lengths.output_tokens))
    return BUSY_FRAC / busy_s_per_token(curves, max(1.0, batch), lengths)


def power_w(curves: PoolCurves, tokens_per_s: float, lengths: Lengths) -> float:
    """Mean power of one instance at an output rate within its capacity."""
    continuous = 1.0 / busy_s_per_token(curves, 1.0, lengths)
    e_j = j_per_token(curves, lengths)
    if tokens_per_s >= continuous:
        return curves.p0_w + e_j * tokens_per_s
    return curves.idle_w + (curves.p0_w + e_j * continuous - curves.idle_w) * tokens_per_s / continuous


def point(contender: Contender, tokens_per_s: float, lengths: Lengths) -> Point | None:
    """A contender at a rate; None beyond its capacity."""
    curves = contender.curves
    if tokens_per_s > capacity_tokens_per_s(curves, lengths):
        return None
    drawn_w = power_w(curves, tokens_per_s, lengths)
    return Point(
        power_w=drawn_w,
        error_w=_error_w(contender, tokens_per_s, lengths, drawn_w),
        batch=batch_at_rate(curves, tokens_per_s, lengths),
        j_per_token=drawn_w / tokens_per_s,
    )


def compare(contenders: Sequence[Contender], lengths: Lengths, *, steps: int = 16) -> tuple[LoadRow, ...]:
    """All contenders over the loads that any of them serves, by equal ratios from a sequence now and then to the limit.

    Raises:
        ConfigError: there are fewer than two, or the lengths are not positive.
    """
    if len(contenders) < 2:
        raise ConfigError("two profiles at least are to be compared; write: wattroute profile --compare A.yaml B.yaml")
    for option, value in (("--input-tokens", lengths.input_tokens), ("--answer-tokens", lengths.output_tokens)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{option} {value:g}: a length above zero is expected")
    top = max(capacity_tokens_per_s(one.curves, lengths) for one in contenders)
    least = min(1.0 / busy_s_per_token(one.curves, 1.0, lengths) for one in contenders) / 4
    ends = {capacity_tokens_per_s(one.curves, lengths) for one in contenders}
    loads = sorted({least * (top / least) ** (n / (steps - 1)) for n in range(steps - 1)} | ends)
    return tuple(_row(contenders, rate, lengths) for rate in loads)


def _row(contenders: Sequence[Contender], rate: float, lengths: Lengths) -> LoadRow:
    points = tuple(point(one, rate, lengths) for one in contenders)
    order = sorted((p.power_w, n) for n, p in enumerate(points) if p is not None)
    if len(order) < 2:
        return LoadRow(rate, points, order[0][1] if order else None, "the only one that serves this load")
    (first_w, best), (second_w, other) = order[:2]
    errors = [_half_width(points[n]) for _, n in order]
    unknown = [contenders[n].name for (_, n), error in zip(order, errors, strict=True) if error is None]
    if unknown:
        return LoadRow(rate, points, None, f"not distinguishable: the error of {unknown[0]} is not known")
    rivals = [
        (w - first_w, math.hypot(errors[0] or 0.0, error or 0.0)) for (w, _), error in zip(order, errors, strict=True)
    ]
    if any(distance_w <= width_w for distance_w, width_w in rivals[1:]):
        return LoadRow(rate, points, None, f"not distinguishable: {contenders[best].name} and {contenders[other].name}")
    lead_frac = 1 - first_w / second_w
    return LoadRow(rate, points, best, f"{lead_frac:.0%} below {contenders[other].name}", lead_frac)


def _half_width(one: Point | None) -> float | None:
    return None if one is None else one.error_w


def _error_w(contender: Contender, rate: float, lengths: Lengths, drawn_w: float) -> float | None:
    """Half width of the 95 % interval: what the parameters leave open, and how far the lines are off unseen cells."""
    known = contender.curves.uncertainty
    if known is None:
        return None
    gradient = np.array([_slope(contender.curves, name, rate, lengths) for name in FITTED])
    variance: float = float(gradient @ np.array(known.covariance) @ gradient)
    model_w = known.held_out_mape_frac * drawn_w
    return TWO_SIDED_95 * math.hypot(math.sqrt(max(0.0, variance)), model_w)


def _slope(curves: PoolCurves, name: str, rate: float, lengths: Lengths) -> float:
    value = float(getattr(curves, name))
    step = STEP_FRAC * value
    if step == 0:
        return 0.0
    changed: tuple[dict[str, Any], ...] = ({name: value + step}, {name: value - step})
    high, low = (dataclasses.replace(curves, **change) for change in changed)
    return float((power_w(high, rate, lengths) - power_w(low, rate, lengths)) / (2 * step))
