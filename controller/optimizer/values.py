"""Sets a compiled problem's parameters from the numbers of a problem."""

from __future__ import annotations

import math

import numpy as np

from controller.errors import SolverError
from controller.optimizer.data import ProblemData
from controller.optimizer.decision_steps import decision_steps
from controller.optimizer.outcome import lost_share
from controller.optimizer.variables import Expression, Parameters, Shape

OBJECTIVE_PER_USD = 1e6
"""The objective is in millionths of a USD, so that its coefficients are near one."""


def shape_of(data: ProblemData) -> Shape:
    """Shape of the compiled problem that fits the numbers."""
    dt_s, steps = data.horizon.dt_s, data.horizon.steps
    reach = max(
        max(pool.min_up_steps, math.ceil(pool.start_s / dt_s), math.ceil(pool.wake_s / dt_s)) for pool in data.pools
    )
    return Shape(len(data.classes), len(data.pools), steps, lags=min(steps, max(1, reach)))


def most_power_w(data: ProblemData) -> float:
    """A power the site cannot reach, W: stands for no limit."""
    it_w = data.spare_w + sum(pool.instances * max(pool.p0_w, pool.off_w, pool.sleeping_w) for pool in data.pools)
    for r, cls in enumerate(data.classes):
        it_w += max(data.j_per_token[r]) * max(cls.demand_tokens_per_s)
    return 2.0 * (data.pue * it_w + data.aux_w + abs(data.bias_w)) + 1.0


def energy_bill(data: ProblemData) -> float:
    """Scale of the energy bill over the horizon, in the objective's unit: that of the present instances."""
    now_w = data.spare_w + sum(
        pool.p0_w * max(1, pool.on_now) + pool.sleeping_w * pool.sleeping_now for pool in data.pools
    )
    site_w = data.pue * now_w + data.aux_w
    return OBJECTIVE_PER_USD * max(1e-6, sum(abs(usd) for usd in data.energy_usd_per_w) * site_w)


def set_values(p: Parameters, data: ProblemData, shape: Shape) -> None:
    """Write every parameter.

    Raises:
        SolverError: a number is not finite.
    """
    _set_workload(p, data, shape)
    _set_instances(p, data, shape)
    _set_power(p, data, shape)
    _set_prices(p, data, shape)


def _put(parameter: Expression, value: object) -> None:
    array = np.asarray(value, dtype=float)
    if not np.all(np.isfinite(array)):
        raise SolverError(f"a number of the problem is not finite: {array.tolist()}; the next rung takes its place")
    parameter.value = array


def _wide(column: np.ndarray, steps: int) -> np.ndarray:
    return np.repeat(np.asarray(column, dtype=float).reshape(-1, 1), steps, axis=1)


def _set_workload(p: Parameters, data: ProblemData, shape: Shape) -> None:
    demand = np.array([cls.demand_tokens_per_s for cls in data.classes], dtype=float)
    allowed = np.array(data.allowed, dtype=float)
    loss = np.array([pool.quality_loss_frac for pool in data.pools])
    budget = np.array([cls.quality_budget_frac for cls in data.classes])
    pairs = shape.classes * shape.pools
    _put(p.demand, demand)
    _put(p.token_cap, (allowed[:, :, None] * demand[:, None, :]).reshape(pairs, shape.steps))
    _put(p.busy_s, _wide(np.array(data.busy_s_per_token).reshape(pairs), shape.steps))
    _put(p.excess_loss, (loss[None, :, None] - budget[:, None, :]).reshape(pairs, shape.steps))


def _set_instances(p: Parameters, data: ProblemData, shape: Shape) -> None:
    eta, dt_s, steps, pools = data.utilisation_frac, data.horizon.dt_s, shape.steps, data.pools
    _put(p.utilisation, eta)
    _put(p.peak_extra, np.full((shape.pools, steps), max(0.0, data.peak_frac - eta)))
    _put(p.eta_late, eta * np.array([pool.late for pool in pools]))
    for lag in range(shape.lags):
        wake = np.array([lost_share(pool.wake_s, dt_s, lag) for pool in pools])
        start = np.array([lost_share(pool.start_s, dt_s, lag) for pool in pools])
        up = np.array([lag < pool.min_up_steps for pool in pools])
        _put(p.eta_wake[lag], _wide(eta * wake, steps))
        _put(p.eta_start[lag], _wide(eta * start, steps))
        _put(p.hold_wake[lag], _wide(up | (wake > 0), steps))
        _put(p.hold_start[lag], _wide(up | (start > 0), steps))
    _put(p.locked, [pool.locked for pool in pools])
    may = np.array([float(move) for move in decision_steps(data)])
    _put(p.most_moves, 2.0 * np.outer([pool.instances for pool in pools], may))
    _put(p.most_stops, _wide(np.array([pool.instances * data.may_stop for pool in pools]), steps))
    _put(p.min_on, _wide(np.array([pool.min_on for pool in pools]), steps))
    _put(p.max_on, _wide(np.array([pool.max_on for pool in pools]), steps))
    _put(p.instances, _wide(np.array([pool.instances for pool in pools]), steps))
    _put(p.on_now, [[pool.on_now] for pool in pools])
    _put(p.sleeping_now, [[pool.sleeping_now] for pool in pools])
    _put(p.gpus_each, [[pool.gpus_per_instance for pool in pools]])
    _put(p.gpus, [[data.gpus] * steps])


def _set_power(p: Parameters, data: ProblemData, shape: Shape) -> None:
    none_w = most_power_w(data)
    off_w = sum(pool.instances * pool.off_w for pool in data.pools) + data.spare_w
    _put(p.on_w, [[data.pue * (pool.p0_w - pool.off_w) for pool in data.pools]])
    _put(p.sleeping_w, [[data.pue * (pool.sleeping_w - pool.off_w) for pool in data.pools]])
    _put(p.token_w, data.pue * np.array(data.j_per_token).reshape(1, -1))
    _put(p.base_w, [[data.pue * off_w + data.aux_w + data.bias_w] * shape.steps])
    _put(p.limit_w, [[none_w if limit is None else limit for limit in data.limit_w]])
    _put(p.ramp_w, [[none_w if data.ramp_w is None else data.ramp_w] * shape.steps])


def _set_prices(p: Parameters, data: ProblemData, shape: Shape) -> None:
    dt_s = data.horizon.dt_s
    loss = np.array([pool.quality_loss_frac for pool in data.pools])
    per_token = np.array([cls.quality_usd_per_mtoken * 1e-6 for cls in data.classes])
    serve = np.array([[cls.serve_usd_per_token for cls in data.classes]])
    energy = max(0.0, *(abs(usd) for usd in data.energy_usd_per_w))
    _put(p.energy_price, OBJECTIVE_PER_USD * np.array([data.energy_usd_per_w]))
    _put(p.token_price, OBJECTIVE_PER_USD * dt_s * np.outer(per_token, loss).reshape(1, -1))
    # One millionth of a USD a move at least, so that no instance is moved for nothing.
    _put(p.wake_price, [[max(1.0, OBJECTIVE_PER_USD * pool.start_usd) for pool in data.pools]])
    cold = [pool.start_usd + energy / dt_s * data.pue * pool.p0_w * pool.start_s for pool in data.pools]
    _put(p.stop_price, [[max(1.0, OBJECTIVE_PER_USD * usd) for usd in cold]])
    _put(p.unserved_price, OBJECTIVE_PER_USD * dt_s * serve)
    _put(p.over_limit_price, OBJECTIVE_PER_USD * dt_s * data.limit_usd_per_j)
    _put(p.over_quality_price, OBJECTIVE_PER_USD * dt_s * data.quality_usd_per_token)
    _put(p.over_busy_price, OBJECTIVE_PER_USD * dt_s * data.headroom_usd_per_s)
    _put(p.over_ramp_price, OBJECTIVE_PER_USD * data.ramp_usd_per_w)
