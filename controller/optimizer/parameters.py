"""Parameters of the compiled problems: what is given, and set before each solve.

Index sets as in `controller.optimizer.variables`. A group that belongs to an optional term is None where the shape has
no use for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from controller.errors import SolverError
from controller.optimizer.variables import Expression, Shape


@dataclass(frozen=True, slots=True)
class AssetParameters:
    """Of photovoltaics and batteries; zeros at sites without.

    Attributes:
        pv_w: (C, T) what photovoltaics can give.
        most_charge_w, most_discharge_w: (C, T).
        charge_share, discharge_share: (C, 1) share of the battery's power that a watt takes; 0 without one.
        stored_wh, taken_wh: (C, 1) energy that a watt over one interval adds to the battery, takes out of it.
        min_wh, capacity_wh: (C, T+1).
        now_wh, final_wh: (C, 1) energy at the horizon's beginning; least at its end.
        wear_price: (1, C) objective of a watt charged or discharged over one interval.
        short_price: (1, C) objective of a watt-hour missing at the end.
    """

    pv_w: Expression
    most_charge_w: Expression
    most_discharge_w: Expression
    charge_share: Expression
    discharge_share: Expression
    stored_wh: Expression
    taken_wh: Expression
    min_wh: Expression
    capacity_wh: Expression
    now_wh: Expression
    final_wh: Expression
    wear_price: Expression
    short_price: Expression

    @classmethod
    def of(cls, shape: Shape) -> AssetParameters:
        """Fresh parameters of a shape, without values."""
        by_time, by_edge = (shape.sites, shape.steps), (shape.sites, shape.steps + 1)
        column, row = (shape.sites, 1), (1, shape.sites)
        return cls(
            pv_w=_given(by_time),
            most_charge_w=_given(by_time),
            most_discharge_w=_given(by_time),
            charge_share=_given(column),
            discharge_share=_given(column),
            stored_wh=_given(column),
            taken_wh=_given(column),
            min_wh=_given(by_edge),
            capacity_wh=_given(by_edge),
            now_wh=_given(column),
            final_wh=_given(column),
            wear_price=_given(row),
            short_price=_given(row),
        )


@dataclass(frozen=True, slots=True)
class ResponseParameters:
    """Of response programmes.

    Attributes:
        baseline_w: (C, T).
        most_w: (C, T) largest reduction that is paid.
        price: (C, T) objective of a watt below or above the baseline over one interval; 0 outside of events.
    """

    baseline_w: Expression
    most_w: Expression
    price: Expression

    @classmethod
    def of(cls, shape: Shape) -> ResponseParameters:
        """Fresh parameters of a shape, without values."""
        by_time = (shape.sites, shape.steps)
        return cls(_given(by_time), _given(by_time), _given(by_time))


@dataclass(frozen=True, slots=True)
class DeferralParameters:
    """Of classes that may wait.

    Attributes:
        waiting: (R, 1) output tokens/s that wait now, as a rate over one interval.
        most_waiting: (R, T) what may still wait at the interval's end.
    """

    waiting: Expression
    most_waiting: Expression

    @classmethod
    def of(cls, shape: Shape) -> DeferralParameters:
        """Fresh parameters of a shape, without values."""
        return cls(_given((shape.classes, 1)), _given((shape.classes, shape.steps)))


@dataclass(frozen=True, slots=True)
class SpareParameters:
    """Of classes that survive the loss of an instance.

    Attributes:
        tokens_per_s: (R, K) output tokens/s of a whole instance's engine time; 0 where the class may not use the pool
            or need not survive.
        largest: (R, T) output tokens/s of the largest instance, 0 where nothing is asked for.
        price: (1, R) objective of a missing token/s over one interval.
    """

    tokens_per_s: Expression
    largest: Expression
    price: Expression

    @classmethod
    def of(cls, shape: Shape) -> SpareParameters:
        """Fresh parameters of a shape, without values."""
        return cls(
            _given((shape.classes, shape.pools)), _given((shape.classes, shape.steps)), _given((1, shape.classes))
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
        token_price: (1, P) objective of an output token/s over one interval: quality, and the move to the
            pool's site.
        wake_price: (K, T) objective of a wake or start.
        stop_price: (1, K) objective of a stop.
        unserved_price: (1, R) objective of an unserved token/s over one interval.
        over_limit_price, over_quality_price, over_ramp_price, over_busy_price: scalars, objective of one unit over one
            interval.
        drop_w: (C, T) largest fall into each interval.
        most_first_w, least_first_w: (C, 1) power to which the first interval may rise, fall.
        assets, response, deferral, spare: of the optional terms.
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
    drop_w: Expression | None
    most_first_w: Expression | None
    least_first_w: Expression | None
    assets: AssetParameters | None
    response: ResponseParameters | None
    deferral: DeferralParameters | None
    spare: SpareParameters | None

    @classmethod
    def of(cls, shape: Shape) -> Parameters:
        """Fresh parameters of a shape, without values."""
        sites, classes, pools, steps = shape.sites, shape.classes, shape.pools, shape.steps
        pairs = len(shape.pairs)

        def given(rows: int, columns: int) -> Expression:
            return _given((rows, columns))

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
            wake_price=given(pools, steps),
            stop_price=given(1, pools),
            unserved_price=given(1, classes),
            over_limit_price=cp.Parameter(nonneg=True),
            over_quality_price=cp.Parameter(nonneg=True),
            over_ramp_price=cp.Parameter(nonneg=True),
            over_busy_price=cp.Parameter(nonneg=True),
            drop_w=given(sites, steps) if shape.with_drop else None,
            most_first_w=given(sites, 1) if shape.with_ramp else None,
            least_first_w=given(sites, 1) if shape.with_drop else None,
            assets=AssetParameters.of(shape) if shape.with_assets else None,
            response=ResponseParameters.of(shape) if shape.with_response else None,
            deferral=DeferralParameters.of(shape) if shape.with_deferral else None,
            spare=SpareParameters.of(shape) if shape.with_spare else None,
        )


def put(parameter: Expression, value: object) -> None:
    """Give a parameter its value.

    Raises:
        SolverError: a number is not finite, or negative where it must not be.
    """
    array = np.asarray(value, dtype=float)
    if not np.all(np.isfinite(array)):
        raise SolverError(f"a number of the problem is not finite: {array.tolist()}; the next rung takes its place")
    if parameter.value is not None and np.array_equal(parameter.value, array):
        return  # checking what it holds already takes longer than this
    try:
        parameter.value = array
    except ValueError as error:
        raise SolverError(f"a number of the problem cannot be: {error}; the next rung takes its place") from error


def _given(rows: tuple[int, int]) -> Expression:
    return cp.Parameter(rows, nonneg=True)
