"""Whether a plan keeps to what its sites' photovoltaics and batteries can do, told without a solver."""

from __future__ import annotations

import math

from controller.model.plan import Plan, SitePlan
from controller.optimizer.data import BatteryData, ProblemData, SiteData
from controller.optimizer.outcome import Outcome
from controller.optimizer.promises import POWER_TOLERANCE_W, energy_tolerance_wh


def site_series(plan: Plan, data: ProblemData) -> tuple[str, ...]:
    """Series that are missing, too many or of the wrong length."""
    steps = plan.horizon.steps
    for site, planned in zip(data.sites, plan.sites, strict=True):
        with_battery = steps if site.battery else 0
        expected = {
            "power": (planned.power_w, steps),
            "import": (planned.import_w, steps),
            "photovoltaics": (planned.pv_w, steps if site.pv_w else 0),
            "charging": (planned.charge_w, with_battery),
            "discharging": (planned.discharge_w, with_battery),
            "state of charge": (planned.soc_wh, steps + 1 if site.battery else 0),
        }
        for what, (series, length) in expected.items():
            if len(series) != length:
                return (f"{site.site_id}: {what} of {len(series)} intervals, {length} expected",)
            if what != "power" and not all(math.isfinite(value) for value in series):
                return (f"{site.site_id}: {what} is not finite",)
    return ()


def assets(plan: Plan, data: ProblemData, outcome: Outcome) -> tuple[str, ...]:
    """Limits of photovoltaics and batteries that a plan breaks, and power that it would feed into the grid."""
    out = []
    for c, (site, planned) in enumerate(zip(data.sites, plan.sites, strict=True)):
        if not site.has_assets:
            continue
        for t, watts in enumerate(planned.import_w):
            if watts < -POWER_TOLERANCE_W:
                out.append(f"{site.site_id}[{t}]: {-watts:.1f} W fed into the grid")
        out += _photovoltaics(site, planned)
        if site.battery is not None:
            out += _battery(site.site_id, site.battery, planned, outcome.held_wh[c])
    return tuple(out)


def _photovoltaics(site: SiteData, planned: SitePlan) -> list[str]:
    return [
        f"{site.site_id}[{t}]: {used:.1f} W of photovoltaics used of {available:.1f} W"
        for t, (used, available) in enumerate(zip(planned.pv_w, site.pv_w, strict=False))
        if not -POWER_TOLERANCE_W <= used <= available + POWER_TOLERANCE_W
    ]


def _battery(site_id: str, battery: BatteryData, planned: SitePlan, held_wh: tuple[float, ...]) -> list[str]:
    out = []
    for t, (charge, discharge) in enumerate(zip(planned.charge_w, planned.discharge_w, strict=True)):
        for what, watts, most in (
            ("charging", charge, battery.charge_w),
            ("discharging", discharge, battery.discharge_w),
        ):
            if not -POWER_TOLERANCE_W <= watts <= most + POWER_TOLERANCE_W:
                out.append(f"{site_id}[{t}]: {what} at {watts:.1f} W of {most:.1f} W")
        shares = charge / max(battery.charge_w, POWER_TOLERANCE_W) + discharge / max(
            battery.discharge_w, POWER_TOLERANCE_W
        )
        if shares > 1 + 1e-3:
            out.append(f"{site_id}[{t}]: charging and discharging together take {shares:.3f} of the interval")
    near_wh = energy_tolerance_wh(battery)
    for t, (said, means) in enumerate(zip(planned.soc_wh, held_wh, strict=True)):
        if abs(said - means) > near_wh:
            out.append(f"{site_id}[{t}]: {said:.1f} Wh stored, charging and discharging leave {means:.1f} Wh")
        if not battery.min_wh - near_wh <= means <= battery.capacity_wh + near_wh:
            bounds = f"{battery.min_wh:.1f}..{battery.capacity_wh:.1f}"
            out.append(f"{site_id}[{t}]: {means:.1f} Wh stored, outside {bounds} Wh")
    return out
