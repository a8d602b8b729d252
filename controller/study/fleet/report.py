"""The study's report: the ablation, power by precision, the bill as a waterfall. Pure."""

from __future__ import annotations

import numpy as np

from controller.study.charts import BarChart, Series, Style, XyChart
from controller.study.fleet.case import FleetCase
from controller.study.fleet.levers import Row
from controller.study.fleet.result import FleetResult
from controller.study.fleet.settings import FleetSettings
from controller.study.fleet.signals import CARBON_SOURCE, PRICE_SOURCE
from controller.study.study import Report
from controller.study.tables import Column, Table
from router.contract import Precision

_COLUMNS = (
    Column("row"),
    Column("bill, USD"),
    Column("saving", 1, percent=True),
    Column("energy, MWh", 1),
    Column("CO2, t", 1),
    Column("tokens, 1e9", 3),
    Column("quality loss", 3, percent=True),
    Column("served late", 3, percent=True),
    Column("strained", 2, percent=True),
    Column("GPU-hours"),
    Column("starts"),
)


def report(settings: FleetSettings, result: FleetResult, rows: tuple[Row, ...]) -> Report:
    """Tables and charts of a result."""
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(result),
        tables=(_ablation(result),),
        charts=(_waterfall(result), _power(rows[-1]), _prices(rows[-1].case)),
        assumptions=_assumptions(settings, rows[-1].case),
        sources=(PRICE_SOURCE, CARBON_SOURCE, *_curves(rows[-1].case)),
    )


def _paragraphs(result: FleetResult) -> tuple[str, ...]:
    last = result.rows[-1]
    said = [
        f"{result.gpus:,} GPUs over {result.days:g} days: the bill falls from {result.rows[0].usd:,.0f} to "
        f"{last.usd:,.0f} USD ({last.saving_frac:.1%}), the energy from {result.rows[0].totals.energy_mwh:,.0f} to "
        f"{last.totals.energy_mwh:,.0f} MWh."
    ]
    if result.kept_frac is not None:
        said.append(
            f"With perfect foresight and instances in fractions nothing below {result.bound_usd:,.0f} USD is "
            f"possible: the controller, which forecasts and switches whole instances, keeps {result.kept_frac:.1%} of "
            "that saving."
        )
    said.append(
        "Every row served the same output tokens."
        if result.same_tokens
        else "The rows did NOT serve the same output tokens: the savings cannot be compared."
    )
    return tuple(said)


def _ablation(result: FleetResult) -> Table:
    return Table(
        "Bill and energy as levers are added",
        _COLUMNS,
        tuple(
            (
                row.name,
                row.usd,
                row.saving_frac,
                row.totals.energy_mwh,
                row.totals.carbon_kg / 1000.0,
                row.totals.output_tokens / 1e9,
                row.totals.quality_loss_frac,
                row.totals.late_frac,
                row.totals.strained_frac,
                row.totals.gpu_hours,
                row.totals.starts,
            )
            for row in result.rows
        ),
        note="late: not served in the step in which it was asked for; strained: with more engine time than is planned",
    )


def _waterfall(result: FleetResult) -> BarChart:
    categories = (*(row.name for row in result.rows), "perfect foresight")
    return BarChart(
        "The bill as levers are added",
        "USD",
        categories,
        (("bill", (*(row.usd for row in result.rows), result.bound_usd)),),
    )


def _power(row: Row) -> XyChart:
    case, days = row.case, _days(row.case)
    series = []
    for precision in Precision:
        members = [k for k, pool in enumerate(case.pools) if pool.precision is precision]
        if members:
            megawatts = [float(_pools_w(case, step.on, step.rates)[members].sum()) / 1e6 for step in row.played.steps]
            series.append(Series(precision.value, days, tuple(megawatts), Style.AREA))
    price = np.mean([site.price_usd_per_mwh for site in case.sites], axis=0)
    return XyChart(
        "Power of the instances by precision, and the mean price",
        "day",
        "MW",
        (*series, Series("price", days, tuple(price.tolist()), Style.STEP, right=True)),
        right_label="USD/MWh",
    )


def _pools_w(case: FleetCase, on: np.ndarray, rates: np.ndarray) -> np.ndarray:
    p0_w = np.array([pool.curves.p0_w for pool in case.pools])
    pue = np.array([case.sites[pool.c].pue for pool in case.pools])
    return np.asarray(pue * (p0_w * on + (rates * np.array(case.j_per_token)).sum(axis=0)))


def _prices(case: FleetCase) -> XyChart:
    days = _days(case)
    return XyChart(
        "Day-ahead prices",
        "day",
        "USD/MWh",
        tuple(Series(site.name, days, tuple(site.price_usd_per_mwh.tolist()), Style.STEP) for site in case.sites),
    )


def _days(case: FleetCase) -> tuple[float, ...]:
    return tuple(t * case.step_s / 86_400 for t in range(case.steps))


def _assumptions(settings: FleetSettings, case: FleetCase) -> tuple[str, ...]:
    return (
        "GPUs, engines and sites are SIMULATED: a fluid model on the measured curves named below.",
        f"Demand is synthetic (seed {settings.seed}): a daily wave, weekends, noise. It is foreseen with an error of "
        f"{settings.forecast.error_at_day_frac:.0%} a day ahead; instances are planned for its "
        f"{settings.forecast.quantile:g} quantile. Prices are day-ahead and known.",
        "An instance is started ahead of the step it is wanted in and charged with its base power for that time; a "
        f"GPU that no instance holds draws {settings.idle_gpu_w:g} W.",
        "Requests reach every site; moving them between sites costs nothing.",
        "INT4 curves are estimated, not measured." if _has_int4(case) else "All curves are measured.",
    )


def _has_int4(case: FleetCase) -> bool:
    return any(pool.precision is Precision.INT4 for pool in case.pools)


def _curves(case: FleetCase) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{pool.profile}: {pool.curves.provenance.source}" for pool in case.pools))
