"""The series that forecasters are judged by: recorded where there is a recording, made up and saying so where not."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.simulation.trace import CODE_TRACE, DATA_DIR, DEFAULT_TRACE, read_trace

MIDNIGHT_S = 1_700_006_400.0
"""2023-11-15 00:00 UTC, a Wednesday: where demand begins."""
MOER_LEADS_S = (300, 900, 1800, 3600, 7200, 10_800)
Ahead = Callable[[int, int], float | None]
"""What a feed says at an interval of a later one."""


@dataclass(frozen=True, slots=True)
class DemandCase:
    """Arrivals of one class.

    Attributes:
        arrivals_s: since the start, ascending.
        tick_s: time between two reports of the routers.
        skip: intervals at the start that only teach.
    """

    name: str
    arrivals_s: np.ndarray
    duration_s: float
    tick_s: float
    step_s: float
    steps: int
    skip: int = 0


@dataclass(frozen=True, slots=True)
class SignalCase:
    """Values of a price or carbon series, one an interval, and what its feed says of later ones."""

    name: str
    values: np.ndarray
    step_s: float
    steps: int
    ahead: Ahead | None
    skip: int


def demand_cases() -> tuple[DemandCase, ...]:
    """Two recorded hours at two steps, and three made-up weeks at two steps."""
    cases = []
    for name, path in (("Azure 2023 conversation", DEFAULT_TRACE), ("Azure 2023 code", CODE_TRACE)):
        times = np.array([arrival.time_s for arrival in read_trace(path).arrivals])
        for tick_s, step_s in ((5.0, 60.0), (2.0, 10.0)):
            cases.append(DemandCase(name, times, float(times[-1]), tick_s, step_s, 12))
    for days, step_s, steps in ((21, 300.0, 12), (21, 900.0, 96)):
        skip = int(8 * 86_400 / step_s)
        made_up = weeks(days, seed=1)
        cases.append(DemandCase("SYNTHETIC weeks", made_up, days * 86_400.0, step_s / 5, step_s, steps, skip))
    return tuple(cases)


def signal_cases() -> tuple[SignalCase, ...]:
    """Marginal emissions with the operator's own forecasts, and hourly prices without any."""
    values, told = _moer()
    prices = _column(DATA_DIR / "ercot_dam_lz_usd_per_mwh.csv", "LZ_NORTH", after="2022")
    return (
        SignalCase("CAISO marginal emissions, Aug 2020", values, 300.0, 12, told, skip=1152),
        SignalCase("CAISO marginal emissions, Aug 2020", values, 300.0, 36, told, skip=1152),
        SignalCase("ERCOT LZ_NORTH prices 2022, beyond the day-ahead market", prices, 3600.0, 24, None, skip=336),
    )


def weeks(days: int, seed: int) -> np.ndarray:
    """Made-up arrivals, 2 requests/s on average: days with one peak, quiet weekends, a level that wanders.

    Poisson arrivals of the rate base · day(h) · weekend · exp(u), where u is an AR(1) of 10 h and 20 % deviation.
    """
    rng = np.random.default_rng(seed)
    minutes = np.arange(days * 1440)
    hour, day = (minutes / 60) % 24, (minutes // 1440 + 2) % 7
    shape = np.exp(-0.9 * np.cos(2 * np.pi * (hour - 3) / 24) + 0.25 * np.cos(4 * np.pi * (hour - 2) / 24))
    keep = np.exp(-1 / 600)
    wander = np.zeros(len(minutes))
    for minute, shock in enumerate(rng.normal(0, 0.2 * np.sqrt(1 - keep**2), len(minutes))):
        wander[minute] = keep * wander[minute - 1] + shock
    rate = 2.0 * shape / shape.mean() * np.where(day >= 5, 0.6, 1.0) * np.exp(wander)
    counts = rng.poisson(60 * rate)
    return np.sort(np.repeat(minutes * 60.0, counts) + 60 * rng.random(counts.sum()))


def _moer() -> tuple[np.ndarray, Ahead]:
    """Values, kg/MWh, and the published forecasts, between the leads by a straight line."""
    path = DATA_DIR / "caiso_moer_pge_2020-08.csv"
    values = _column(path, "moer_kg_per_kwh") * 1000
    told = np.stack([_column(path, f"forecast_{lead // 60}min_kg_per_kwh") * 1000 for lead in MOER_LEADS_S], axis=1)

    def ahead(index: int, target: int) -> float | None:
        lead_s = (target - index) * 300.0
        if lead_s > MOER_LEADS_S[-1]:
            return None
        return float(np.interp(lead_s, (0, *MOER_LEADS_S), (values[index], *told[index])))

    return values, ahead


def _column(path: Path, name: str, after: str = "") -> np.ndarray:
    with path.open(newline="") as file:
        rows = csv.DictReader(file)
        time = next(iter(rows.fieldnames or ()))
        return np.array([float(row[name]) for row in rows if row[time] >= after])
