"""Whether the numbers of a problem can be planned with at all; what cannot is told with its place and remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controller.errors import ProblemError
from controller.optimizer.data import BatteryData, ClassData, PoolData, ProblemData, SiteData
from controller.optimizer.promises import energy_tolerance_wh


def validate(data: ProblemData) -> None:
    """Refuse what no plan can be made of.

    Two things that look wrong are not: a class that no pool may serve is told as unserved, a site without GPUs draws
    its base load.

    Raises:
        ProblemError: a number is missing, not finite, or out of its bounds.
    """
    horizon = data.horizon
    if horizon.steps < 1 or not 0 < horizon.dt_s < math.inf:
        raise ProblemError(
            f"a horizon of {horizon.steps} intervals of {horizon.dt_s:g} s; plan at least one, longer than 0 s"
        )
    for what, given in (("site", data.sites), ("pool", data.pools), ("class", data.classes)):
        if not given:
            raise ProblemError(f"the problem has no {what}; give at least one")
    _fraction("utilisation_frac", "the problem", data.utilisation_frac)
    for site in data.sites:
        _site(site, horizon.steps)
    for pool in data.pools:
        _pool(pool, data)
    for cls in data.classes:
        _class(cls, horizon.steps)
    _matrices(data)


def _series(name: str, place: str, values: Sequence[float], steps: int, least: float = -math.inf) -> None:
    if len(values) != steps:
        raise ProblemError(f"{name} of {place} has {len(values)} entries; give one for each of the {steps} intervals")
    numbers = np.array(values, dtype=float)
    bad = np.flatnonzero(~np.isfinite(numbers) | (numbers < least))
    if len(bad):
        wanted = "a finite number" if least == -math.inf else f"a number of at least {least:g}"
        raise ProblemError(f"{name} of {place} is {values[bad[0]]} in interval {bad[0]}; give {wanted}")


def _number(name: str, place: str, value: float, least: float = 0.0, most: float = math.inf) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        bounds = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise ProblemError(f"{name} of {place} is {value:g}; give a number {bounds}")


def _fraction(name: str, place: str, value: float) -> None:
    if not 0.0 < value <= 1.0:
        raise ProblemError(f"{name} of {place} is {value:g}; give a fraction above 0 and up to 1")


def _site(site: SiteData, steps: int) -> None:
    place = f"site {site.site_id}"
    _number("gpus", place, site.gpus)
    _number("pue", place, site.pue, least=1.0)
    _series("price_usd_per_mwh", place, site.price_usd_per_mwh, steps)
    _series("carbon_kg_per_mwh", place, site.carbon_kg_per_mwh, steps)
    _series("limit_w", place, [0.0 if limit is None else limit for limit in site.limit_w], steps)
    for name in ("ramp_w", "ramp_down_w", "drawn_before_w"):
        watts = getattr(site, name)
        if watts is not None:
            _number(name, place, watts)
    if site.pv_w:
        _series("pv_w", place, site.pv_w, steps, least=0.0)
    if site.battery is not None:
        _battery(site.battery, f"the battery of {place}")
    if site.response is not None:
        of_response = f"the response of {place}"
        _series("baseline_w", of_response, site.response.baseline_w, steps, least=0.0)
        _series("reward_usd_per_mwh", of_response, site.response.reward_usd_per_mwh, steps, least=0.0)
        _series("most_w", of_response, site.response.most_w, steps, least=0.0)


def _battery(battery: BatteryData, place: str) -> None:
    for name in ("capacity_wh", "charge_w", "discharge_w", "wear_usd_per_mwh", "final_wh"):
        _number(name, place, getattr(battery, name))
    for name in ("charge_frac", "discharge_frac"):
        _fraction(name, place, getattr(battery, name))
    _number("min_wh", place, battery.min_wh, most=battery.capacity_wh)
    near_wh = energy_tolerance_wh(battery)
    _number("soc_wh", place, battery.soc_wh, least=battery.min_wh - near_wh, most=battery.capacity_wh + near_wh)


def _pool(pool: PoolData, data: ProblemData) -> None:
    place, steps = f"pool {pool.pool_id}", data.horizon.steps
    if not 0 <= pool.site < len(data.sites):
        raise ProblemError(f"site of {place} is {pool.site}; give an index of the {len(data.sites)} sites")
    if not data.from_scratch:
        _number("on_now + sleeping_now", place, pool.on_now + pool.sleeping_now, most=pool.instances)
    _number("min_on", place, pool.min_on, most=pool.max_on)
    for name in ("p0_w", "sleeping_w", "off_w", "wake_s", "start_s", "start_usd", "gpus_per_instance"):
        _number(name, place, getattr(pool, name))
    _number("quality_loss_frac", place, pool.quality_loss_frac, most=1.0)
    _series("late", place, pool.late, steps, least=0.0)
    _series("locked", place, pool.locked, steps, least=0.0)
    if pool.exchange_usd:
        _series("exchange_usd", place, pool.exchange_usd, steps, least=0.0)
    held, gpus = pool.gpus_per_instance * max(pool.min_on, *pool.locked), data.sites[pool.site].gpus
    if held > gpus:
        raise ProblemError(f"{place} must keep {held} GPUs, its site has {gpus}; lower min_on or add GPUs")


def _class(cls: ClassData, steps: int) -> None:
    place = f"class {cls.class_id}"
    _series("demand_tokens_per_s", place, cls.demand_tokens_per_s, steps, least=0.0)
    _series("quality_budget_frac", place, cls.quality_budget_frac, steps, least=0.0)
    _number("quality_usd_per_mtoken", place, cls.quality_usd_per_mtoken)
    _number("serve_usd_per_token", place, cls.serve_usd_per_token)
    _number("defer_steps", place, cls.defer_steps)
    waiting = cls.backlog_tokens_per_s
    if len(waiting) > cls.defer_steps:
        raise ProblemError(
            f"backlog_tokens_per_s of {place} has {len(waiting)} entries; give at most defer_steps, {cls.defer_steps}"
        )
    _series("backlog_tokens_per_s", place, waiting, len(waiting), least=0.0)


def _matrices(data: ProblemData) -> None:
    named = {"allowed": data.allowed, "busy_s_per_token": data.busy_s_per_token, "j_per_token": data.j_per_token}
    if data.move_usd_per_token:
        named["move_usd_per_token"] = data.move_usd_per_token
    if data.quality_loss_frac:
        named["quality_loss_frac"] = data.quality_loss_frac
    for name, rows in named.items():
        if len(rows) != len(data.classes) or any(len(row) != len(data.pools) for row in rows):
            raise ProblemError(f"{name} is not a row for each class with an entry for each pool")
    allowed = np.array(data.allowed, dtype=bool)
    for name, rows in named.items():
        if name == "allowed":
            continue
        values, is_share = np.array(rows, dtype=float), name == "quality_loss_frac"
        wrong = ~np.isfinite(values) | (values < 0) | ((values == 0) & (name == "busy_s_per_token"))
        wrong |= (values > 1) & is_share
        for r, k in np.argwhere(allowed & wrong)[:1]:
            raise ProblemError(
                f"{name} of class {data.classes[r].class_id} on pool {data.pools[k].pool_id} is {values[r, k]:g}; "
                f"give a {'number from 0 to 1' if is_share else 'positive, finite number'} or do not allow the pool"
            )
