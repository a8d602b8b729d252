"""What photovoltaics, batteries and programmes do to what a site draws from the grid and pays. No solver."""

from __future__ import annotations

from dataclasses import dataclass

from controller.optimizer.data import BatteryData, ProblemData, SiteData
from controller.units import J_PER_MWH, SECONDS_PER_HOUR

Powers = tuple[tuple[float, ...], ...]
"""[c][t], W."""


@dataclass(frozen=True, slots=True)
class Flows:
    """Power of each site's assets; zeros where a site has none.

    Attributes:
        pv_w: taken from photovoltaics.
        charge_w, discharge_w: into and out of the battery.
    """

    pv_w: Powers
    charge_w: Powers
    discharge_w: Powers


def no_flows(powers: Powers) -> Flows:
    """The flows of sites without assets."""
    zeros = tuple((0.0,) * len(row) for row in powers)
    return Flows(zeros, zeros, zeros)


def flows_by_rule(data: ProblemData, powers: Powers) -> Flows:
    """Flows where no solver chose them: photovoltaics first, then the battery against power above the limit."""
    if not any(site.has_assets for site in data.sites):
        return no_flows(powers)
    pv_w, discharge_w = [], []
    for site, loads_w in zip(data.sites, powers, strict=True):
        pv = [min(load, available) for load, available in zip(loads_w, site.pv_w, strict=False)] or [0.0] * len(loads_w)
        pv_w.append(tuple(pv))
        discharge_w.append(_against_limit(site, data.horizon.dt_s, [w - p for w, p in zip(loads_w, pv, strict=True)]))
    return Flows(tuple(pv_w), no_flows(powers).charge_w, tuple(discharge_w))


def _against_limit(site: SiteData, dt_s: float, net_w: list[float]) -> tuple[float, ...]:
    battery = site.battery
    if battery is None:
        return (0.0,) * len(net_w)
    left_wh, out = now_wh(battery) - battery.min_wh, []
    per_w = taken_wh_per_w(battery, dt_s)
    for watts, limit in zip(net_w, site.limit_w, strict=False):
        wanted = 0.0 if limit is None else max(0.0, watts - max(0.0, limit))
        given = max(0.0, min(wanted, battery.discharge_w, left_wh / per_w))
        left_wh -= given * per_w
        out.append(given)
    return tuple(out)


def imports_w(powers: Powers, flows: Flows) -> Powers:
    """What each site draws from the grid: load and charging less photovoltaics and discharging."""
    return tuple(
        tuple(load + charge - pv - out for load, pv, charge, out in zip(loads, *rows, strict=True))
        for loads, *rows in zip(powers, flows.pv_w, flows.charge_w, flows.discharge_w, strict=True)
    )


def stored_wh_per_w(battery: BatteryData, dt_s: float) -> float:
    """Energy that a watt of charging over one interval adds to a battery."""
    return battery.charge_frac * dt_s / SECONDS_PER_HOUR


def taken_wh_per_w(battery: BatteryData, dt_s: float) -> float:
    """Energy that a watt of discharging over one interval takes out of a battery."""
    return dt_s / SECONDS_PER_HOUR / battery.discharge_frac


def now_wh(battery: BatteryData) -> float:
    """What a battery holds; beyond its bounds it can lie by arithmetic alone."""
    return min(max(battery.soc_wh, battery.min_wh), battery.capacity_wh)


def soc_wh(
    battery: BatteryData, dt_s: float, charge_w: tuple[float, ...], discharge_w: tuple[float, ...]
) -> tuple[float, ...]:
    """Energy in a battery at the edges of the intervals, one more than there are."""
    held = [now_wh(battery)]
    for charge, discharge in zip(charge_w, discharge_w, strict=True):
        gained = stored_wh_per_w(battery, dt_s) * charge - taken_wh_per_w(battery, dt_s) * discharge
        held.append(held[-1] + gained)
    return tuple(held)


def final_target_wh(battery: BatteryData, data: ProblemData) -> float:
    """Energy that a battery is to hold at the horizon's end: what is asked for, or what can be reached."""
    horizon = data.horizon
    most = now_wh(battery) + horizon.steps * stored_wh_per_w(battery, horizon.dt_s) * battery.charge_w
    return min(battery.final_wh, battery.capacity_wh, most)


def short_usd_per_wh(data: ProblemData, c: int) -> float:
    """Price of a watt-hour missing at the horizon's end: twice what it could earn within the horizon at most."""
    site = data.sites[c]
    if site.battery is None:
        return 0.0
    reward = max(site.response.reward_usd_per_mwh, default=0.0) if site.response else 0.0
    energy = max(abs(usd) for usd in data.energy_usd_per_w[c]) * SECONDS_PER_HOUR / data.horizon.dt_s
    earned = energy + (reward + site.battery.wear_usd_per_mwh) * 1e-6
    return max(1e-6, 2.0 * earned / site.battery.charge_frac)


def wear_usd(data: ProblemData, flows: Flows) -> float:
    """Cost of charging and discharging."""
    mwh_per_w = data.horizon.dt_s / J_PER_MWH
    return sum(
        site.battery.wear_usd_per_mwh * mwh_per_w * (sum(charge) + sum(discharge))
        for site, charge, discharge in zip(data.sites, flows.charge_w, flows.discharge_w, strict=True)
        if site.battery is not None
    )


def reward_usd(data: ProblemData, drawn: Powers) -> float:
    """What programmes pay for drawing less than the baseline during events, less what is paid back for drawing more."""
    mwh_per_w = data.horizon.dt_s / J_PER_MWH
    usd = 0.0
    for site, drawn_w in zip(data.sites, drawn, strict=True):
        if site.response is None:
            continue
        response = site.response
        for watts, baseline, reward, most in zip(
            drawn_w, response.baseline_w, response.reward_usd_per_mwh, response.most_w, strict=False
        ):
            if most > 0:
                usd += reward * mwh_per_w * min(most, baseline - watts)
    return usd
