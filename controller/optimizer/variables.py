"""Decision variables of the compiled problems.

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
        with_assets: some site has photovoltaics or a battery.
        with_response: some site takes part in a programme.
        with_ramp: some site's power may not change at once.
        with_drop: some site's power may not fall at once.
        with_deferral: some class may wait.
        with_spare: some class survives the loss of an instance.
        windows: r of the classes whose quality budget holds over the horizon together.
    """

    sites: int
    classes: int
    steps: int
    pairs: tuple[tuple[int, int], ...]
    site_of_pool: tuple[int, ...]
    lags: int = 1
    from_scratch: bool = False
    with_assets: bool = False
    with_response: bool = False
    with_ramp: bool = False
    with_drop: bool = False
    with_deferral: bool = False
    with_spare: bool = False
    windows: tuple[int, ...] = ()

    @property
    def pools(self) -> int:
        """K."""
        return len(self.site_of_pool)


@dataclass(frozen=True, slots=True)
class Variables:
    """What is decided; all nonnegative. What the shape has no use for is None.

    Attributes:
        on, sleeping: (K, T) instances serving, asleep; integer.
        wakes, starts: (K, T) instances that go from asleep, from off, to serving at the interval's start.
        sleeps, stops: (K, T) instances that go from serving to asleep, from asleep to off.
        tokens: (P, T) output tokens/s.
        site_w: (C, T) predicted power at the meter.
        unserved: (R, T) output tokens/s not served.
        over_limit_w: (C, T) power above the limit.
        over_quality: (R, T) loss·tokens/s beyond the budget.
        over_ramp_w: (C, T) rise or fall of power beyond the ramp.
        over_busy: (K, T) engine time beyond η, instances.
        import_w: (C, T) power drawn from the grid.
        pv_used_w: (C, T) power taken from photovoltaics.
        charge_w, discharge_w: (C, T) power into and out of batteries.
        soc_wh: (C, T+1) energy in batteries at the intervals' edges.
        short_wh: (C, 1) energy missing in batteries at the horizon's end.
        reduction_w, excess_w: (C, T) power below and above the response's baseline.
        backlog: (R, T) output tokens/s that wait at the interval's end, as a rate over one interval.
        spare: (K, T) engine time left, what is beyond η counted with it, instances.
        over_spare: (R, T) output tokens/s missing to survive the loss of an instance.
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
    import_w: Expression = None
    pv_used_w: Expression = None
    charge_w: Expression = None
    discharge_w: Expression = None
    soc_wh: Expression = None
    short_wh: Expression = None
    reduction_w: Expression = None
    excess_w: Expression = None
    backlog: Expression = None
    spare: Expression = None
    over_spare: Expression = None

    @property
    def drawn_w(self) -> Expression:
        """(C, T) what each site draws from the grid."""
        return self.site_w if self.import_w is None else self.import_w

    @classmethod
    def of(cls, shape: Shape, *, whole: bool = True) -> Variables:
        """Fresh variables of a shape; `whole` makes instances integers."""
        by_pool, by_class = (shape.pools, shape.steps), (shape.classes, shape.steps)
        by_site = (shape.sites, shape.steps)

        def free(rows: tuple[int, int]) -> Expression:
            return cp.Variable(rows, nonneg=True)

        def where(used: bool, rows: tuple[int, int]) -> Expression:
            return free(rows) if used else None

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
            import_w=where(shape.with_assets, by_site),
            pv_used_w=where(shape.with_assets, by_site),
            charge_w=where(shape.with_assets, by_site),
            discharge_w=where(shape.with_assets, by_site),
            soc_wh=where(shape.with_assets, (shape.sites, shape.steps + 1)),
            short_wh=where(shape.with_assets, (shape.sites, 1)),
            reduction_w=where(shape.with_response, by_site),
            excess_w=where(shape.with_response, by_site),
            backlog=where(shape.with_deferral, by_class),
            spare=where(shape.with_spare, by_pool),
            over_spare=where(shape.with_spare, by_class),
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
