"""Decision variables and parameters of the compiled problems.

Index sets: sites c = 0..C-1, classes r = 0..R-1, pools k = 0..K-1, pairs p = 0..P-1 of a class and a pool that it may
use, intervals t = 0..T-1, lags j = 0..J-1. Every array is two-dimensional; what a class may not use has no variable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from scipy import sparse

Expression = Any
"""A cvxpy expression; the library ships no types."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a compiled problem is compiled for.

    Attributes:
        pairs: (r, k) of every pair p.
        site_of_pool: c of every pool.
        lags: intervals over which a start or the least up-time reaches, at least 1.
        from_scratch: moves of the first interval cost nothing, take no time and bind nobody.
    """

    sites: int
    classes: int
    steps: int
    pairs: tuple[tuple[int, int], ...]
    site_of_pool: tuple[int, ...]
    lags: int = 1
    from_scratch: bool = False

    @property
    def pools(self) -> int:
        """K."""
        return len(self.site_of_pool)


@dataclass(frozen=True, slots=True)
class Variables:
    """What is decided; all nonnegative.

    Attributes:
        on, sleeping: (K, T) instances serving, asleep; integer.
        wakes, starts: (K, T) instances that go from asleep, from off, to serving at the interval's start.
        sleeps, stops: (K, T) instances that go from serving to asleep, from asleep to off.
        tokens: (P, T) output tokens/s.
        site_w: (C, T) predicted power at the meter.
        unserved: (R, T) output tokens/s not served.
        over_limit_w: (C, T) power above the limit.
        over_quality: (R, T) loss·tokens/s beyond the budget.
        over_ramp_w: (C, T) rise of power beyond the ramp.
        over_busy: (K, T) engine time beyond η, instances.
    """

    on: Expression
    sleeping: Expression
    wakes: Expression
    starts: Expression
    sleeps: Expression
    stops: Expression
    tokens: Expression
    site_w: Expression
    unserved: Expression
    over_limit_w: Expression
    over_quality: Expression
    over_ramp_w: Expression
    over_busy: Expression

    @classmethod
    def of(cls, shape: Shape, *, whole: bool = True) -> Variables:
        """Fresh variables of a shape; `whole` makes instances integers."""
        by_pool, by_class = (shape.pools, shape.steps), (shape.classes, shape.steps)
        by_site = (shape.sites, shape.steps)

        def free(rows: tuple[int, int]) -> Expression:
            return cp.Variable(rows, nonneg=True)

        return cls(
            on=cp.Variable(by_pool, nonneg=True, integer=whole),
            sleeping=cp.Variable(by_pool, nonneg=True, integer=whole),
            wakes=free(by_pool),
            starts=free(by_pool),
            sleeps=free(by_pool),
            stops=free(by_pool),
            tokens=free((len(shape.pairs), shape.steps)),
            site_w=free(by_site),
            unserved=free(by_class),
            over_limit_w=free(by_site),
            over_quality=free(by_class),
            over_ramp_w=free(by_site),
            over_busy=free(by_pool),
        )


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is given; set before each solve.

    What does not change over the horizon is a column: a program with a parameter an interval takes long to state.

    Attributes:
        demand: (R, T) output tokens/s.
        busy_s: (P, 1) engine time of an output token.
        utilisation: η.
        peak_extra: share of an instance's engine time beyond η that may be used at a price.
        eta_wake, eta_start: J entries of (K, 1), η times the share of an interval lost to a wake, to a start, j
            intervals after it.
        eta_late: (K, T) η times the instances on that do not serve yet.
        hold_wake, hold_start: J entries of (K, 1), 1 while a wake, a start, j intervals ago still binds, else 0.
        locked: (K, T) instances that must stay on.
        most_moves: (K, T) instances that may move, 0 where no move can pay.
        most_stops: (K, T) instances that may be stopped.
        most_sleeping: (K, T) instances that may be asleep.
        min_on, max_on: (K, T).
        instances: (K, T) instances of the pool.
        on_now, sleeping_now: (K, 1).
        gpus_each: (C, K) GPUs an instance holds, 0 at other sites.
        gpus: (C, T) GPUs installed.
        on_w, sleeping_w: (C, K) power of an instance on, asleep, above that of one that is off, at its site's meter.
        token_w: (C, P) power of an output token/s at the meter, J.
        base_w: (C, T) power at the meter with every instance off and no token.
        limit_w: (C, T).
        ramp_w: (C, T) largest rise into each interval.
        loss: (P, 1) quality loss.
        budget: (R, T) largest mean quality loss.
        energy_price: (C, T) objective per watt.
        token_price: (1, P) objective of an output token/s over one interval: quality.
        wake_price, stop_price: (1, K) objective of a wake or start; of a stop.
        unserved_price: (1, R) objective of an unserved token/s over one interval.
        over_limit_price, over_quality_price, over_ramp_price, over_busy_price: scalars, objective of one unit over one
            interval.
    """

    demand: Expression
    busy_s: Expression
    utilisation: Expression
    peak_extra: Expression
    eta_wake: tuple[Expression, ...]
    eta_start: tuple[Expression, ...]
    eta_late: Expression
    hold_wake: tuple[Expression, ...]
    hold_start: tuple[Expression, ...]
    locked: Expression
    most_moves: Expression
    most_stops: Expression
    most_sleeping: Expression
    min_on: Expression
    max_on: Expression
    instances: Expression
    on_now: Expression
    sleeping_now: Expression
    gpus_each: Expression
    gpus: Expression
    on_w: Expression
    sleeping_w: Expression
    token_w: Expression
    base_w: Expression
    limit_w: Expression
    ramp_w: Expression
    loss: Expression
    budget: Expression
    energy_price: Expression
    token_price: Expression
    wake_price: Expression
    stop_price: Expression
    unserved_price: Expression
    over_limit_price: Expression
    over_quality_price: Expression
    over_ramp_price: Expression
    over_busy_price: Expression

    @classmethod
    def of(cls, shape: Shape) -> Parameters:
        """Fresh parameters of a shape, without values."""
        sites, classes, pools, steps = shape.sites, shape.classes, shape.pools, shape.steps
        pairs = len(shape.pairs)

        def given(rows: int, columns: int) -> Expression:
            return cp.Parameter((rows, columns), nonneg=True)

        def lagged() -> tuple[Expression, ...]:
            return tuple(given(pools, 1) for _ in range(shape.lags))

        return cls(
            demand=given(classes, steps),
            busy_s=given(pairs, 1),
            utilisation=cp.Parameter(nonneg=True),
            peak_extra=cp.Parameter(nonneg=True),
            eta_wake=lagged(),
            eta_start=lagged(),
            eta_late=given(pools, steps),
            hold_wake=lagged(),
            hold_start=lagged(),
            locked=given(pools, steps),
            most_moves=given(pools, steps),
            most_stops=given(pools, steps),
            most_sleeping=given(pools, steps),
            min_on=given(pools, steps),
            max_on=given(pools, steps),
            instances=given(pools, steps),
            on_now=given(pools, 1),
            sleeping_now=given(pools, 1),
            gpus_each=given(sites, pools),
            gpus=given(sites, steps),
            on_w=cp.Parameter((sites, pools)),
            sleeping_w=cp.Parameter((sites, pools)),
            token_w=given(sites, pairs),
            base_w=cp.Parameter((sites, steps)),
            limit_w=cp.Parameter((sites, steps)),
            ramp_w=given(sites, steps),
            loss=given(pairs, 1),
            budget=given(classes, steps),
            energy_price=cp.Parameter((sites, steps)),
            token_price=given(1, pairs),
            wake_price=given(1, pools),
            stop_price=given(1, pools),
            unserved_price=given(1, classes),
            over_limit_price=cp.Parameter(nonneg=True),
            over_quality_price=cp.Parameter(nonneg=True),
            over_ramp_price=cp.Parameter(nonneg=True),
            over_busy_price=cp.Parameter(nonneg=True),
        )


def sum_over_pools(shape: Shape) -> sparse.csr_array:
    """Constant (R, P) matrix that sums a class's pairs over the pools."""
    return _incidence(shape.classes, [r for r, _ in shape.pairs])


def sum_over_classes(shape: Shape) -> sparse.csr_array:
    """Constant (K, P) matrix that sums a pool's pairs over the classes."""
    return _incidence(shape.pools, [k for _, k in shape.pairs])


def _incidence(rows: int, row_of: Sequence[int]) -> sparse.csr_array:
    columns = len(row_of)
    return sparse.csr_array((np.ones(columns), (row_of, range(columns))), shape=(rows, columns))


def before(now: Expression, series: Expression) -> Expression:
    """The series one interval earlier: column 0 is `now`, column t is column t - 1 of `series`."""
    return cp.hstack([now, series[:, :-1]]) if series.shape[1] > 1 else now
