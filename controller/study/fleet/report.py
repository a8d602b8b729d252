"""The study's report: what was found, the ablation, what it rests on. Pure."""

from __future__ import annotations

from controller.model.perf import Evidence
from controller.study.fleet.case import FleetCase
from controller.study.fleet.levers import RESPONSE, Row
from controller.study.fleet.report_charts import charts
from controller.study.fleet.result import FleetResult
from controller.study.fleet.settings import FleetSettings
from controller.study.fleet.signals import demand_origin, sources
from controller.study.study import Report
from controller.study.tables import Column, Table

_COLUMNS = (
    Column("row"),
    Column("bill, USD"),
    Column("saving", 1, percent=True),
    Column("drawn, MWh", 1),
    Column("CO2, t", 1),
    Column("tokens, 1e9", 3),
    Column("quality loss", 3, percent=True),
    Column("SLO misses: late", 3, percent=True),
    Column("strained", 2, percent=True),
    Column("over limits, MWh", 2),
    Column("GPU-hours"),
    Column("starts"),
)
_BILL = ("energy", "carbon", "starts", "wear", "moves", "quality", "recharge", "reward")


def report(settings: FleetSettings, result: FleetResult, rows: tuple[Row, ...]) -> Report:
    """Tables and charts of a result."""
    case = rows[-1].case
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(result),
        tables=(_ablation(result), _bills(result)),
        charts=charts(result, rows),
        assumptions=(*_assumptions(settings, case), *_of_assets(case, rows)),
        sources=(*sources(settings.sites), *_curves(case)),
    )


def _paragraphs(result: FleetResult) -> tuple[str, ...]:
    last = result.rows[-1]
    said = [
        f"{result.gpus:,} GPUs over {result.days:g} days: the bill falls from {result.rows[0].usd:,.0f} to "
        f"{last.usd:,.0f} USD ({last.saving_frac:.1%}), the energy drawn from {result.rows[0].totals.energy_mwh:,.0f} "
        f"to {last.totals.energy_mwh:,.0f} MWh."
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
                row.totals.over_limit_mwh,
                row.totals.gpu_hours,
                row.totals.starts,
            )
            for row in result.rows
        ),
        note="late: not served by the end of the step in which it was due; strained: with more engine time than is "
        "planned; over limits: drawn above a limit or above what was promised to a programme",
    )


def _bills(result: FleetResult) -> Table:
    used = tuple(name for name in _BILL if any(getattr(row.totals.bill, name) for row in result.rows))
    return Table(
        "What the bill is made of, USD",
        (Column("row"), *(Column(name) for name in used), Column("curtailed, MWh", 2)),
        tuple(
            (row.name, *(getattr(row.totals.bill, name) for name in used), row.totals.curtailed_mwh)
            for row in result.rows
        ),
        note="reward is taken off the bill; curtailed: below the baseline while a programme called",
    )


def _assumptions(settings: FleetSettings, case: FleetCase) -> tuple[str, ...]:
    reach = "Requests reach the sites that their class names"
    return (
        "GPUs, engines and sites are SIMULATED: a fluid model on the measured curves named below.",
        demand_origin({cls.name: cls.demand for cls in settings.classes}, settings.seed),
        f"Demand is foreseen with an error of {settings.forecast.error_at_day_frac:.0%} a day ahead; instances are "
        f"planned for its {settings.forecast.quantile:g} quantile. Prices are day-ahead and known.",
        "An instance is started ahead of the step it is wanted in and charged with its base power for that time; a "
        f"GPU that no instance holds draws {settings.idle_gpu_w:g} W.",
        f"{reach}; moving them between sites costs what the class says."
        if case.move_usd_per_token
        else f"{reach}, all where it names none; moving them between sites costs nothing.",
        _evidence(case),
        "GPUs and whatever stands behind the meters are there: the bill holds no investment.",
    )


def _of_assets(case: FleetCase, rows: tuple[Row, ...]) -> tuple[str, ...]:
    said = []
    if any(site.pv_w is not None for site in case.sites):
        said.append("Photovoltaics see a clear sky every day; what the site does not take is lost, nothing is sold.")
    if any(site.battery is not None for site in case.sites):
        said.append(
            "A battery keeps to the plan until the next one, hands on what it held at the beginning, and pays its wear."
        )
    if rows[-1].name == RESPONSE:
        said.append(
            "The baseline of a response is what the same site drew in the row before, without the programme: it pays "
            "for nothing that would have been done anyway. Real programmes estimate it from days past."
        )
    return tuple(said)


def _evidence(case: FleetCase) -> str:
    estimated = [pool.profile for pool in case.pools if pool.curves.provenance.evidence is Evidence.ESTIMATED]
    decode = f"Estimated, not measured: {', '.join(dict.fromkeys(estimated))}" if estimated else "Decode is measured"
    return f"{decode}. Prefill, and power without work, are estimates for all curves, as their sources say."


def _curves(case: FleetCase) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{pool.profile}: {pool.curves.provenance.source}" for pool in case.pools))
