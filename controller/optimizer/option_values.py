"""Sets the parameters of the optional terms: assets, response, deferral, redundancy."""

from __future__ import annotations

import numpy as np

from controller.optimizer.backlog import most_waiting
from controller.optimizer.data import BatteryData, ProblemData
from controller.optimizer.onsite import final_target_wh, now_wh, short_usd_per_wh, stored_wh_per_w, taken_wh_per_w
from controller.optimizer.parameters import (
    AssetParameters,
    DeferralParameters,
    Parameters,
    ResponseParameters,
    SpareParameters,
    put,
)
from controller.optimizer.spare import largest_tokens_per_s, may_lose, spare_usd_per_token
from controller.units import J_PER_MWH

NO_BATTERY = BatteryData(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
LEAST_WEAR_USD_PER_MWH = 0.01
"""Least price of charging and discharging to the search, so that no battery is cycled for nothing."""


def set_options(p: Parameters, data: ProblemData, objective_per_usd: float, none_w: list[float]) -> None:
    """Write the parameters of the optional terms that the shape has.

    Args:
        p: to write.
        data: the problem.
        objective_per_usd: unit of the objective.
        none_w: of each site, a power that it cannot reach.
    """
    if p.assets is not None:
        _set_assets(p.assets, data, objective_per_usd)
    if p.response is not None:
        _set_response(p.response, data, objective_per_usd, none_w)
    if p.deferral is not None:
        _set_deferral(p.deferral, data)
    if p.spare is not None:
        _set_spare(p.spare, data, objective_per_usd)


def _column(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 1)


def _set_assets(p: AssetParameters, data: ProblemData, objective_per_usd: float) -> None:
    dt_s, steps = data.horizon.dt_s, data.horizon.steps
    batteries = [site.battery or NO_BATTERY for site in data.sites]
    charge_w, discharge_w = _column([b.charge_w for b in batteries]), _column([b.discharge_w for b in batteries])
    put(p.pv_w, np.array([site.pv_w or (0.0,) * steps for site in data.sites]))
    put(p.most_charge_w, np.repeat(charge_w, steps, axis=1))
    put(p.most_discharge_w, np.repeat(discharge_w, steps, axis=1))
    put(p.charge_share, _share(charge_w))
    put(p.discharge_share, _share(discharge_w))
    put(p.stored_wh, _column([stored_wh_per_w(b, dt_s) for b in batteries]))
    put(p.taken_wh, _column([taken_wh_per_w(b, dt_s) for b in batteries]))
    put(p.min_wh, np.repeat(_column([b.min_wh for b in batteries]), steps + 1, axis=1))
    put(p.capacity_wh, np.repeat(_column([b.capacity_wh for b in batteries]), steps + 1, axis=1))
    put(p.now_wh, _column([now_wh(b) for b in batteries]))
    put(p.final_wh, _column([final_target_wh(b, data) for b in batteries]))
    mwh_per_w = dt_s / J_PER_MWH
    wear = [max(LEAST_WEAR_USD_PER_MWH, b.wear_usd_per_mwh) for b in batteries]
    put(p.wear_price, objective_per_usd * mwh_per_w * _column(wear).T)
    put(p.short_price, objective_per_usd * _column([short_usd_per_wh(data, c) for c in range(len(data.sites))]).T)


def _share(most_w: np.ndarray) -> np.ndarray:
    return np.where(most_w > 0, 1.0 / np.where(most_w > 0, most_w, 1.0), 0.0)


def _set_response(p: ResponseParameters, data: ProblemData, objective_per_usd: float, none_w: list[float]) -> None:
    steps, mwh_per_w = data.horizon.steps, data.horizon.dt_s / J_PER_MWH
    baseline_w, most_w, price = [], [], []
    for site, unreachable_w in zip(data.sites, none_w, strict=True):
        response = site.response
        baseline_w.append(response.baseline_w if response else (unreachable_w,) * steps)
        most_w.append(response.most_w if response else (0.0,) * steps)
        rewards = response.reward_usd_per_mwh if response else (0.0,) * steps
        price.append([usd if most > 0 else 0.0 for usd, most in zip(rewards, most_w[-1], strict=True)])
    put(p.baseline_w, np.array(baseline_w, dtype=float))
    put(p.most_w, np.array(most_w, dtype=float))
    put(p.price, objective_per_usd * mwh_per_w * np.array(price, dtype=float))


def _set_deferral(p: DeferralParameters, data: ProblemData) -> None:
    put(p.waiting, _column([sum(cls.backlog_tokens_per_s) for cls in data.classes]))
    put(p.most_waiting, np.array([most_waiting(cls, data.horizon.steps) for cls in data.classes], dtype=float))


def _set_spare(p: SpareParameters, data: ProblemData, objective_per_usd: float) -> None:
    classes = range(len(data.classes))
    tokens = np.zeros((len(data.classes), len(data.pools)))
    for r in classes:
        for k in may_lose(data, r):
            tokens[r, k] = 1.0 / data.busy_s_per_token[r][k]
    demand = np.array([cls.demand_tokens_per_s for cls in data.classes], dtype=float)
    put(p.tokens_per_s, tokens)
    put(p.largest, _column([largest_tokens_per_s(data, r) for r in classes]) * (demand > 0))
    prices = _column([spare_usd_per_token(data, r) for r in classes])
    put(p.price, objective_per_usd * data.horizon.dt_s * prices.T)
