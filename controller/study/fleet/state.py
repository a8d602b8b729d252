"""Where a run stands between two steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from controller.optimizer.data import BatteryData
from controller.settlement.quality_budget import QualityBurn
from controller.study.fleet.case import FleetCase
from controller.study.fleet.queue import Queue
from controller.study.fleet.site_settings import BatterySettings
from router.contract import ClassId


@dataclass(frozen=True, slots=True)
class Intent:
    """What the last plan means for the steps until the next one.

    Attributes:
        rates: (R,) output tokens/s that it serves.
        charge_w, discharge_w: (C,) of the batteries.
    """

    rates: np.ndarray
    charge_w: np.ndarray
    discharge_w: np.ndarray


@dataclass(frozen=True, slots=True)
class State:
    """Instances, what waits, what batteries hold, what of the quality budgets is burnt.

    Attributes:
        on, sleeping: instances of each pool.
        queues: what waits, of each class.
        soc_wh: energy in each site's battery, 0 without one.
        burns: of each class, None where its budget holds in each step.
        intent: None before the first plan.
        is_new: whether nothing has happened yet.
        plans, late_plans: plans made; those not found in time.
        gap_frac: largest proven gap of the plans, None where there was none.
    """

    on: tuple[int, ...]
    sleeping: tuple[int, ...]
    queues: tuple[Queue, ...]
    soc_wh: tuple[float, ...]
    burns: tuple[QualityBurn | None, ...]
    intent: Intent | None = None
    is_new: bool = True
    plans: int = 0
    late_plans: int = 0
    gap_frac: float | None = None

    @classmethod
    def of(cls, case: FleetCase, on: tuple[int, ...] | None = None) -> State:
        """The beginning: these instances, or none."""
        none = (0,) * len(case.pools)
        return cls(
            on=on or none,
            sleeping=none,
            queues=(Queue(),) * len(case.classes),
            soc_wh=tuple(0.0 if site.battery is None else _start_wh(site.battery) for site in case.sites),
            burns=tuple(
                None if each.window_s is None else QualityBurn.empty(ClassId(each.name), each.window_s)
                for each in case.classes
            ),
        )

    def late(self) -> State:
        """The state after a plan that was not found in time: everything goes on as it is."""
        return replace(self, plans=self.plans + 1, late_plans=self.late_plans + 1)

    def asked(self, case: FleetCase, t: int) -> State:
        """The state with the demand of step `t` in the queues; what may wait is due by the end of the span."""
        queues = tuple(
            queue.joined(min(t + cls.defer_steps, case.steps - 1), float(cls.demand_tokens_per_s[t]) * case.step_s)
            for queue, cls in zip(self.queues, case.classes, strict=True)
        )
        return replace(self, queues=queues)


def battery_data(battery: BatterySettings, soc_wh: float) -> BatteryData:
    """A battery that holds so much; each plan hands it on as it was at the beginning."""
    return BatteryData(
        capacity_wh=1000.0 * battery.capacity_kwh,
        soc_wh=soc_wh,
        min_wh=1000.0 * battery.capacity_kwh * battery.min_frac,
        charge_w=1000.0 * battery.charge_kw,
        discharge_w=1000.0 * battery.discharge_kw,
        charge_frac=battery.charge_frac,
        discharge_frac=battery.discharge_frac,
        wear_usd_per_mwh=battery.wear_usd_per_mwh,
        final_wh=_start_wh(battery),
    )


def _start_wh(battery: BatterySettings) -> float:
    return 1000.0 * battery.capacity_kwh * battery.start_frac
