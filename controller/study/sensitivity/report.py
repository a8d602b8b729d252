"""The study's report. Pure."""

from __future__ import annotations

from controller.study.charts import BarChart
from controller.study.fleet.settings import FleetSettings
from controller.study.fleet.signals import sources
from controller.study.sensitivity.result import VariationResult
from controller.study.sensitivity.settings import SensitivitySettings
from controller.study.study import Report
from controller.study.tables import Column, Table

_COLUMNS = (
    Column("what is changed"),
    Column("to"),
    Column("fixed fleet, USD"),
    Column("every lever, USD"),
    Column("saving", 1, percent=True),
    Column("drawn, MWh", 1),
    Column("CO2, t", 1),
    Column("quality loss", 3, percent=True),
    Column("reward, USD"),
    Column("curtailed, MWh", 2),
    Column("SLO misses: late", 3, percent=True),
    Column("starts"),
)


def report(settings: SensitivitySettings, fleet: FleetSettings, found: tuple[VariationResult, ...]) -> Report:
    """Tables and charts of a result."""
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(settings, fleet, found),
        tables=(_table(found),),
        charts=(_chart(found),),
        assumptions=(
            "GPUs, engines and sites are SIMULATED, demand is synthetic: all that the fleet's own study says holds.",
            "One thing is changed at a time; the fixed fleet pays for the change as well.",
        ),
        sources=sources(fleet.sites),
    )


def _paragraphs(
    settings: SensitivitySettings, fleet: FleetSettings, found: tuple[VariationResult, ...]
) -> tuple[str, ...]:
    low, high = (pick(found, key=lambda each: each.saving_frac) for pick in (min, max))
    same = "Fixed fleet and levers served the same output tokens throughout."
    different = "Fixed fleet and levers did NOT serve the same output tokens: the savings cannot be compared."
    return (
        f"{fleet.title}, {settings.days:g} days from day {settings.first_day:g} on: every lever of the plan saves "
        f"{found[0].saving_frac:.1%}; from {low.saving_frac:.1%} ({_name(low)}) to {high.saving_frac:.1%} "
        f"({_name(high)}) where one thing is changed.",
        same if all(each.same_tokens for each in found) else different,
    )


def _table(found: tuple[VariationResult, ...]) -> Table:
    return Table(
        "Saving with one thing changed",
        _COLUMNS,
        tuple(
            (
                each.what,
                None if each.value is None else f"{each.value:g}",
                each.fixed_usd,
                each.usd,
                each.saving_frac,
                each.totals.energy_mwh,
                each.totals.carbon_kg / 1000.0,
                each.totals.quality_loss_frac,
                each.totals.bill.reward,
                each.totals.curtailed_mwh,
                each.totals.late_frac,
                each.totals.starts,
            )
            for each in found
        ),
    )


def _chart(found: tuple[VariationResult, ...]) -> BarChart:
    return BarChart(
        "Saving with one thing changed",
        "%",
        tuple(_name(each) for each in found),
        (("saving", tuple(100.0 * each.saving_frac for each in found)),),
    )


def _name(each: VariationResult) -> str:
    return each.what if each.value is None else f"{each.what} {each.value:g}"
