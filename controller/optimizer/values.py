"""Sets a compiled problem's parameters from the numbers of a problem."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controller.optimizer.data import ProblemData, SiteData
from controller.optimizer.decision_steps import decision_steps
from controller.optimizer.option_values import set_options
from controller.optimizer.outcome import lost_share
from controller.optimizer.parameters import Parameters, put
from controller.optimizer.variables import Shape

OBJECTIVE_PER_USD = 1e6
"""The objective is in millionths of a USD, so that its coefficients are near one."""


def shape_of(data: ProblemData) -> Shape:
    """Shape of the compiled problem that fits the numbers."""
    dt_s, steps = data.horizon.dt_s, data.horizon.steps
    reach = max(
        max(pool.min_up_steps, math.ceil(pool.start_s / dt_s), math.ceil(pool.wake_s / dt_s)) for pool in data.pools
    )
    return Shape(
        len(data.sites),
        len(data.classes),
        steps,
        pairs=data.pairs,
        site_of_pool=tuple(pool.site for pool in data.pools),
        lags=min(steps, max(1, reach)),
        from_scratch=data.from_scratch,
        with_assets=any(site.has_assets for site in data.sites),
        with_response=any(site.response is not None for site in data.sites),
        with_ramp=any(site.has_ramp for site in data.sites),
        with_drop=any(site.ramp_down_w is not None for site in data.sites),
        with_deferral=any(cls.defer_steps > 0 or cls.backlog_tokens_per_s for cls in data.classes),
        with_spare=any(cls.survives_loss for cls in data.classes),
        windows=tuple(r for r, cls in enumerate(data.classes) if cls.quality_window),
    )


def most_power_w(data: ProblemData, c: int) -> float:
    """A power that site c cannot reach, W: stands for no limit."""
    site = data.sites[c]
    pools = [data.pools[k] for k in data.pools_at(c)]
    it_w = site.spare_w + sum(pool.instances * max(pool.p0_w, pool.off_w, pool.sleeping_w) for pool in pools)
    for r, cls in enumerate(data.classes):
        most = (cls.defer_steps + 1) * max(cls.demand_tokens_per_s) + sum(cls.backlog_tokens_per_s)
        it_w += max(data.j_per_token[r]) * most
    charge_w = 0.0 if site.battery is None else site.battery.charge_w
    return 2.0 * (site.pue * it_w + site.aux_w + abs(site.bias_w) + charge_w) + 1.0


def energy_bill(data: ProblemData) -> float:
    """Scale of the energy bill over the horizon, in the objective's unit: what no instance takes, and the tokens.

    Every token is taken for served where it takes least power, at the mean of the sites' prices: a scale that does not
    depend on the instances that happen to be on.
    """
    prices = np.abs(np.array(data.energy_usd_per_w))
    off_w = np.array([site.spare_w for site in data.sites])
    for pool in data.pools:
        off_w[pool.site] += pool.instances * pool.off_w
    base_w = np.array([site.pue * watts + site.aux_w for site, watts in zip(data.sites, off_w, strict=True)])
    tokens_w = sum(
        np.array(cls.demand_tokens_per_s) * _least_j_per_token(data, r) for r, cls in enumerate(data.classes)
    )
    bill_usd = (base_w @ prices).sum() + (tokens_w * prices.mean(axis=0)).sum()
    return OBJECTIVE_PER_USD * max(1e-6, float(bill_usd))


def _least_j_per_token(data: ProblemData, r: int) -> float:
    """Energy at the meter of a token of class r where it takes least: its own, and that of an instance's time."""
    return min(
        (
            data.sites[pool.site].pue
            * (
                data.j_per_token[r][k]
                + data.busy_s_per_token[r][k] * max(0.0, pool.p0_w - pool.off_w) / data.utilisation_frac
            )
            for k, pool in enumerate(data.pools)
            if data.allowed[r][k]
        ),
        default=0.0,
    )


def set_values(p: Parameters, data: ProblemData, shape: Shape) -> None:
    """Write every parameter.

    Raises:
        SolverError: a number is not finite.
    """
    _set_workload(p, data, shape)
    _set_instances(p, data, shape)
    _set_power(p, data, shape)
    _set_prices(p, data, shape)


def _wide(column: np.ndarray, steps: int) -> np.ndarray:
    return np.repeat(np.asarray(column, dtype=float).reshape(-1, 1), steps, axis=1)


def _set_workload(p: Parameters, data: ProblemData, shape: Shape) -> None:
    demand = np.array([cls.demand_tokens_per_s for cls in data.classes], dtype=float)
    of_class, of_pool = _indices(shape)
    loss = np.array([data.losses(r) for r in range(shape.classes)])
    budget = np.array([cls.quality_budget_frac for cls in data.classes], dtype=float)
    put(p.demand, demand)
    put(p.busy_s, np.array(data.busy_s_per_token)[of_class, of_pool, None])
    put(p.loss, loss[of_class, of_pool, None])
    put(p.budget, budget)


def _indices(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Class and pool of every pair."""
    pairs = np.array(shape.pairs)
    return pairs[:, 0], pairs[:, 1]


def _at_sites(shape: Shape, values: Sequence[float] | np.ndarray, pools: np.ndarray) -> np.ndarray:
    """A (C, n) matrix with value i in the row of the site of pool `pools[i]`."""
    matrix = np.zeros((shape.sites, len(pools)))
    matrix[np.array(shape.site_of_pool)[pools], range(len(pools))] = values
    return matrix


def _set_instances(p: Parameters, data: ProblemData, shape: Shape) -> None:
    eta, dt_s, steps, pools = data.utilisation_frac, data.horizon.dt_s, shape.steps, data.pools
    put(p.utilisation, eta)
    put(p.peak_extra, max(0.0, data.peak_frac - eta))
    put(p.eta_late, eta * np.array([pool.late for pool in pools]))
    for lag in range(shape.lags):
        wake = np.array([[lost_share(pool.wake_s, dt_s, lag)] for pool in pools])
        start = np.array([[lost_share(pool.start_s, dt_s, lag)] for pool in pools])
        up = np.array([[lag < pool.min_up_steps] for pool in pools])
        put(p.eta_wake[lag], eta * wake)
        put(p.eta_start[lag], eta * start)
        put(p.hold_wake[lag], up | (wake > 0))
        put(p.hold_start[lag], up | (start > 0))
    put(p.locked, [pool.locked for pool in pools])
    may = np.array([float(move) for move in decision_steps(data)])
    put(p.most_sleeping, _wide(np.array([pool.most_sleeping for pool in pools]), steps))
    put(p.most_moves, 2.0 * np.outer([pool.instances for pool in pools], may))
    put(p.most_stops, _wide(np.array([pool.instances * data.stops_in(pool) for pool in pools]), steps))
    put(p.min_on, _wide(np.array([pool.min_on for pool in pools]), steps))
    put(p.max_on, _wide(np.array([pool.max_on for pool in pools]), steps))
    put(p.instances, _wide(np.array([pool.instances for pool in pools]), steps))
    put(p.on_now, [[pool.on_now] for pool in pools])
    put(p.sleeping_now, [[pool.sleeping_now] for pool in pools])
    put(p.gpus_each, _at_sites(shape, [pool.gpus_per_instance for pool in pools], np.arange(shape.pools)))
    put(p.gpus, _wide(np.array([site.gpus for site in data.sites]), steps))


def _set_power(p: Parameters, data: ProblemData, shape: Shape) -> None:
    every = np.arange(shape.pools)
    of_class, of_pool = _indices(shape)
    pue = np.array([data.sites[pool.site].pue for pool in data.pools])
    off_w = np.array([pool.off_w for pool in data.pools])
    none_w = [most_power_w(data, c) for c in range(shape.sites)]
    stopped_w = _at_sites(shape, off_w * [pool.instances for pool in data.pools], every).sum(axis=1)
    base_w = [site.pue * (stopped_w[c] + site.spare_w) + site.aux_w + site.bias_w for c, site in enumerate(data.sites)]
    put(p.on_w, _at_sites(shape, pue * ([pool.p0_w for pool in data.pools] - off_w), every))
    put(p.sleeping_w, _at_sites(shape, pue * ([pool.sleeping_w for pool in data.pools] - off_w), every))
    put(p.token_w, _at_sites(shape, pue[of_pool] * np.array(data.j_per_token)[of_class, of_pool], of_pool))
    put(p.base_w, _wide(np.array(base_w), shape.steps))
    limits = [[none_w[c] if limit is None else limit for limit in site.limit_w] for c, site in enumerate(data.sites)]
    put(p.limit_w, limits)
    ramps = [none_w[c] if site.ramp_w is None else site.ramp_w for c, site in enumerate(data.sites)]
    put(p.ramp_w, _wide(np.array(ramps), shape.steps))
    _set_steps(p, data, none_w)
    set_options(p, data, OBJECTIVE_PER_USD, none_w)


def _set_steps(p: Parameters, data: ProblemData, none_w: list[float]) -> None:
    """Write the ramps into the first interval, and the falls."""
    if p.most_first_w is not None:
        most = [none_w[c] if site.most_first_w is None else site.most_first_w for c, site in enumerate(data.sites)]
        put(p.most_first_w, np.array(most).reshape(-1, 1))
    if p.drop_w is not None:
        put(p.drop_w, [_drops_w(site, none_w[c]) for c, site in enumerate(data.sites)])
        put(p.least_first_w, [[site.least_first_w] for site in data.sites])


def _drops_w(site: SiteData, none_w: float) -> list[float]:
    """Largest fall into each interval; the first has its own bound."""
    steps = range(len(site.limit_w))
    if site.ramp_down_w is None:
        return [none_w for _ in steps]
    return [none_w if t > 0 and site.is_tightened(t) else site.ramp_down_w for t in steps]


def _set_prices(p: Parameters, data: ProblemData, shape: Shape) -> None:
    dt_s = data.horizon.dt_s
    loss = np.array([data.losses(r) for r in range(shape.classes)])
    per_token = np.array([cls.quality_usd_per_mtoken * 1e-6 for cls in data.classes])
    serve = np.array([[cls.serve_usd_per_token for cls in data.classes]])
    of_class, of_pool = _indices(shape)
    energy = [max(abs(usd) for usd in prices) for prices in data.energy_usd_per_w]
    put(p.energy_price, OBJECTIVE_PER_USD * np.array(data.energy_usd_per_w))
    lost = per_token[of_class] * loss[of_class, of_pool]
    moved = np.array(data.move_usd_per_token)[of_class, of_pool] if data.move_usd_per_token else 0.0
    put(p.token_price, [OBJECTIVE_PER_USD * dt_s * (lost + moved)])
    # One millionth of a USD a move at least, so that no instance is moved for nothing.
    woken = [[pool.start_usd + usd for usd in pool.exchange_usd or (0.0,) * shape.steps] for pool in data.pools]
    put(p.wake_price, np.maximum(1.0, OBJECTIVE_PER_USD * np.array(woken)))
    cold = [
        pool.start_usd + energy[pool.site] / dt_s * data.sites[pool.site].pue * pool.p0_w * pool.start_s
        if pool.stop_usd is None
        else pool.stop_usd
        for pool in data.pools
    ]
    put(p.stop_price, [[max(1.0, OBJECTIVE_PER_USD * usd) for usd in cold]])
    put(p.unserved_price, OBJECTIVE_PER_USD * dt_s * serve)
    put(p.over_limit_price, OBJECTIVE_PER_USD * dt_s * data.limit_usd_per_j)
    put(p.over_quality_price, OBJECTIVE_PER_USD * dt_s * data.quality_usd_per_token)
    put(p.over_busy_price, OBJECTIVE_PER_USD * dt_s * data.headroom_usd_per_s)
    put(p.over_ramp_price, OBJECTIVE_PER_USD * data.ramp_usd_per_w)
