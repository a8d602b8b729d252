"""The charts of the study's report. Pure."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from controller.study.charts import BarChart, Chart, Series, Style, XyChart
from controller.study.fleet.case import FleetCase
from controller.study.fleet.levers import ASSETS, FIXED, PRECISION, RESPONSE, SHIFTING, SWITCHING, Row
from controller.study.fleet.result import FleetResult
from router.contract import Precision

_DAY_S = 86_400.0
_SHORT = {
    FIXED: "fixed",
    SHIFTING: "shifting",
    SWITCHING: "switching",
    PRECISION: "precision",
    ASSETS: "assets",
    RESPONSE: "response",
}
"""Names of the rows, short enough to stand side by side."""


def charts(result: FleetResult, rows: tuple[Row, ...]) -> tuple[Chart, ...]:
    """The bill as a waterfall; power, batteries, budgets and what waits in the last row; prices."""
    last = rows[-1]
    optional = (_stored(last), _budgets(last), _waiting(last))
    return (_waterfall(result), _power(last), *(chart for chart in optional if chart is not None), _prices(last.case))


def _waterfall(result: FleetResult) -> Chart:
    return BarChart(
        "The bill as levers are added",
        "USD",
        (*(_SHORT.get(row.name, row.name) for row in result.rows), "left"),
        (("bill", (*(row.usd for row in result.rows), result.rows[-1].usd)),),
        waterfall=True,
        note=f"Nothing below {result.bound_usd:,.0f} USD is possible: perfect foresight, instances in fractions.",
    )


def _power(row: Row) -> Chart:
    case, days = row.case, _days(row.case)
    series = []
    for precision in Precision:
        members = [k for k, pool in enumerate(case.pools) if pool.precision is precision]
        if members:
            megawatts = [float(_pools_w(case, step.on, step.rates)[members].sum()) / 1e6 for step in row.played.steps]
            series.append(Series(precision.value, days, tuple(megawatts), Style.AREA))
    drawn = row.played.import_w.sum(axis=0) / 1e6
    series.append(Series("drawn from the grid", days, tuple(drawn.tolist()), Style.LINE))
    limits_w = np.array([site.most_import_w for site in case.sites])
    called = np.isfinite(limits_w).any(axis=0)
    if called.any():
        capped = np.where(np.isfinite(limits_w), limits_w, row.played.import_w).sum(axis=0) / 1e6
        limit = tuple(float(each) if is_called else None for each, is_called in zip(capped, called, strict=True))
        series.append(Series("limit, of sites without one what they draw", days, limit, Style.DASHED))
    price = np.mean([site.price_usd_per_mwh for site in case.sites], axis=0)
    return XyChart(
        "Power of the instances by precision, power drawn, and the mean price",
        "day",
        "MW",
        (*series, Series("price", days, tuple(price.tolist()), Style.STEP, right=True)),
        right_label="USD/MWh",
        bands=_bands(case),
    )


def _stored(row: Row) -> Chart | None:
    case = row.case
    held = np.array([step.soc_wh for step in row.played.steps]) / 1e6
    lines = {site.name: held[:, c] for c, site in enumerate(case.sites) if site.battery is not None}
    return _lines(case, "Energy in the batteries (SoC)", "MWh", lines)


def _budgets(row: Row) -> Chart | None:
    """What is left of each class's quality budget over the whole span."""
    case, lines = row.case, {}
    losses = np.array(case.quality_loss_frac)
    for r, cls in enumerate(case.classes):
        whole = cls.quality_budget_frac * float(cls.demand_tokens_per_s.sum())
        if whole > 0:
            burnt = np.cumsum([float(step.rates[r] @ losses[r]) for step in row.played.steps])
            lines[cls.name] = 100.0 * (1.0 - burnt / whole)
    return _lines(case, "Quality budget left", "% of the whole span's", lines)


def _waiting(row: Row) -> Chart | None:
    case = row.case
    held = np.array([step.waiting_tokens for step in row.played.steps]) / 1e9
    lines = {cls.name: held[:, r] for r, cls in enumerate(case.classes) if cls.defer_steps}
    return _lines(case, "Tokens that wait for a better hour", "1e9 output tokens", lines)


def _lines(case: FleetCase, title: str, unit: str, lines: dict[str, np.ndarray]) -> Chart | None:
    """A line over the span for each name; no chart without any."""
    if not lines:
        return None
    days = _days(case)
    series = tuple(Series(name, days, tuple(values.tolist())) for name, values in lines.items())
    return XyChart(title, "day", unit, series, bands=_bands(case))


def _prices(case: FleetCase) -> Chart:
    days = _days(case)
    carbon = np.mean([site.carbon_kg_per_mwh for site in case.sites], axis=0)
    return XyChart(
        "Day-ahead prices and marginal emissions",
        "day",
        "USD/MWh",
        (
            *(Series(site.name, days, tuple(site.price_usd_per_mwh.tolist()), Style.STEP) for site in case.sites),
            Series("emissions", days, tuple(carbon.tolist()), Style.DASHED, right=True),
        ),
        right_label="kg CO2/MWh",
    )


def _pools_w(case: FleetCase, on: np.ndarray, rates: np.ndarray) -> np.ndarray:
    p0_w = np.array([pool.curves.p0_w for pool in case.pools])
    pue = np.array([case.sites[pool.c].pue for pool in case.pools])
    return np.asarray(pue * (p0_w * on + (rates * np.array(case.j_per_token)).sum(axis=0)))


def _days(case: FleetCase) -> tuple[float, ...]:
    return tuple(t * case.step_s / _DAY_S for t in range(case.steps))


def _bands(case: FleetCase) -> tuple[tuple[float, float, str], ...]:
    """When events call any site, days."""
    called = np.any([site.is_called for site in case.sites], axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], called, [False]]).astype(int)))
    per_day = _DAY_S / case.step_s
    return tuple((a / per_day, b / per_day, "event") for a, b in list(pairwise(edges.tolist()))[::2])
