"""The study's report: what was found, the table, the events, the charts, what it rests on. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controller.model.grid import GridEvent, limit_at
from controller.study.charts import Chart, Series, Style, XyChart
from controller.study.site.make_site import SiteCase
from controller.study.site.play import Played
from controller.study.site.result import BEFORE_S, SiteResult, over_span, times
from controller.study.site.settings import SiteStudySettings
from controller.study.study import Report
from controller.study.tables import Column, Table
from router.contract import Precision

_POINTS = 720
"""Most points of a line."""
_FLEETS = (
    Column("fleet"),
    Column("electricity, USD", 2),
    Column("drawn, MWh", 3),
    Column("CO2, kg"),
    Column("peak, kW", 1),
    Column("tokens asked, 1e6", 1),
    Column("served, 1e6", 1),
    Column("lost", 3, percent=True),
    Column("late", 3, percent=True),
    Column("quality loss", 3, percent=True),
    Column("starts"),
    Column("sleeps"),
    Column("wakes"),
)
_EVENTS = (
    Column("event"),
    Column("limit, kW", 1),
    Column("before, kW", 1),
    Column("90 % reached after, s"),
    Column("intervals after the ramp"),
    Column("over the limit"),
    Column("reduced by, kW", 1),
    Column("rebound peak, kW", 1),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a report is made from."""

    case: SiteCase
    fixed: Played
    controlled: Played
    events: tuple[GridEvent, ...]
    result: SiteResult


def report(settings: SiteStudySettings, found: Found) -> Report:
    """Tables and charts of a result."""
    signals = found.case.signals
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(found),
        tables=(_fleets(found.result), *_events(settings, found.result)),
        charts=charts(found),
        assumptions=_assumptions(settings, found),
        sources=tuple(
            dict.fromkeys(
                (
                    signals.price_usd_per_mwh.source,
                    signals.carbon_kg_per_mwh.source,
                    *(
                        f"{written.profile}: {pool.curves.provenance.source}"
                        for written, pool in zip(settings.site.pools, found.case.site.pools, strict=True)
                    ),
                )
            )
        ),
    )


def _paragraphs(found: Found) -> tuple[str, ...]:
    result = found.result
    plans = ", ".join(f"{count} {origin}" for origin, count in result.plans)
    said = [f"Plans of instances by how they came about: {plans}; {result.late_plans} ended by the clock."]
    if result.saving_frac is not None:
        said.insert(0, f"Electricity against the fixed fleet: {-result.saving_frac:+.1%}.")
    if result.broken_ticks:
        told = ", ".join(f"{promise} at {count}" for promise, count in result.broken_ticks)
        said.append(f"Promises that could not be kept, of {len(found.controlled.records):,} ticks: {told}.")
    return tuple(said)


def _fleets(result: SiteResult) -> Table:
    return Table(
        "The same requests served by two fleets",
        _FLEETS,
        tuple(
            (
                fleet.name,
                fleet.usd,
                fleet.energy_mwh,
                fleet.carbon_kg,
                fleet.peak_kw,
                fleet.asked_tokens / 1e6,
                fleet.served_tokens / 1e6,
                fleet.lost_tokens / fleet.asked_tokens if fleet.asked_tokens else None,
                fleet.late_tokens / fleet.asked_tokens if fleet.asked_tokens else None,
                fleet.quality_loss_frac,
                fleet.starts,
                fleet.sleeps,
                fleet.wakes,
            )
            for fleet in (result.fixed, result.controlled)
        ),
        note="late: waited at the router longer than the class is promised; what is neither served nor lost was under "
        "way at the end; the fixed fleet hears of no event",
    )


def _events(settings: SiteStudySettings, result: SiteResult) -> tuple[Table, ...]:
    if not result.events:
        return ()
    rows = tuple(
        (
            event.name,
            event.limit_kw,
            event.baseline_kw,
            event.time_to_90pct_s,
            event.intervals,
            event.intervals_over,
            event.delivered_kw,
            event.rebound_peak_kw,
        )
        for event in result.events
    )
    return (
        Table(
            "Events",
            _EVENTS,
            rows,
            note=f"before: mean of the {BEFORE_S / 60:g} min before the notice; an interval lasts "
            f"{settings.interval_s:g} s; each event is judged by its own limit; rebound: in the half hour after the "
            "end, a dash where another limit is then in force",
        ),
    )


def charts(found: Found) -> tuple[Chart, ...]:
    """Power by precision against limit and price; quality budgets; instances by state."""
    optional = _budgets(found)
    return (_power(found), *(() if optional is None else (optional,)), _instances(found))


def _power(found: Found) -> Chart:
    case, played = found.case, found.controlled
    count = len(played.power_w)
    hours = _thinned(np.arange(count) * case.interval_s / 3600.0)
    series = []
    for precision in Precision:
        members = [k for k, pool in enumerate(case.site.pools) if pool.precision is precision]
        if members:
            kilowatts = _means(played.pools_w[:, members].sum(axis=1) / 1000.0)
            series.append(Series(precision.value, hours, kilowatts, Style.AREA))
    rest = played.power_w - played.pools_w.sum(axis=1)
    if rest.max() > 1.0:
        series.append(Series("other", hours, _means(rest / 1000.0), Style.AREA))
    series.append(Series("fixed bf16 fleet", hours, _means(found.fixed.power_w / 1000.0)))
    limits = [limit_at(found.events, case.site.import_limit_w, time_s) for time_s in _thinned(times(case))]
    if any(limit is not None for limit in limits):
        told = tuple(None if limit is None else limit / 1000.0 for limit in limits)
        series.append(Series("limit", hours, told, Style.DASHED))
    price = _thinned(over_span(case, case.signals.price_usd_per_mwh))
    return XyChart(
        "Power at the meter by precision, limit and price",
        "hour",
        "kW",
        (*series, Series("price", hours, price, Style.STEP, right=True)),
        right_label="USD/MWh",
        bands=_bands(found),
    )


def _budgets(found: Found) -> Chart | None:
    case, records = found.case, found.controlled.records
    hours = _thinned(np.arange(len(records)) * case.tick_s / 3600.0)
    series = []
    for r, cls in enumerate(case.site.classes):
        left = [record.quality_left_frac[r] for record in records][:: _stride(len(records))]
        if any(value is not None for value in left):
            percent = tuple(None if value is None else 100.0 * value for value in left)
            series.append(Series(str(cls.class_id), hours, percent))
    if not series:
        return None
    return XyChart(
        "Quality budget left", "hour", "% of what the window's tokens allow", tuple(series), bands=_bands(found)
    )


def _instances(found: Found) -> Chart:
    case, records = found.case, found.controlled.records
    hours = _thinned(np.arange(len(records)) * case.tick_s / 3600.0)
    kept = records[:: _stride(len(records))]
    series = [
        Series(f"{pool.pool_id} on", hours, tuple(float(record.pools[k].on) for record in kept), Style.STEP)
        for k, pool in enumerate(case.site.pools)
    ]
    for name in ("changing", "sleeping", "off"):
        counts = tuple(float(sum(getattr(pool, name) for pool in record.pools)) for record in kept)
        if any(counts):
            series.append(Series(name, hours, counts, Style.STEP))
    return XyChart("Instances by state", "hour", "instances", tuple(series), bands=_bands(found))


def _bands(found: Found) -> tuple[tuple[float, float, str], ...]:
    start_s = found.case.start_s
    return tuple(
        ((event.start_s - start_s) / 3600.0, (event.end_s - start_s) / 3600.0, event.event_id) for event in found.events
    )


def _stride(count: int) -> int:
    return max(1, math.ceil(count / _POINTS))


def _thinned(values: np.ndarray) -> tuple[float, ...]:
    """Every so manieth value."""
    return tuple(values[:: _stride(len(values))].tolist())


def _means(values: np.ndarray) -> tuple[float, ...]:
    """Means of as many neighbours as `_thinned` takes one of."""
    stride = _stride(len(values))
    return tuple(float(values[start : start + stride].mean()) for start in range(0, len(values), stride))


def _assumptions(settings: SiteStudySettings, found: Found) -> tuple[str, ...]:
    case = found.case
    said = [
        "GPUs, engines, routers and the meter are SIMULATED: tokens flow at constant rates within a tick, on the "
        "curves named below; there are no single requests, so waits below a second or so are not seen.",
        "The decisions are the service's own, tick by tick, with their commands' latencies; its clock is virtual.",
        f"Demand is synthetic (seed {settings.seed}): a daily wave and noise. The controller sees the past alone; "
        "price and emissions of the coming hours are known to it.",
        f"The fixed fleet is {len(case.fixed.pools[0].instances)} bf16 instances that all serve all the time, at the "
        f"same meter; the GPUs it does not hold draw {settings.site.spare_gpu_w:g} W each.",
        "An event's payment, and the cost of its breach, are not in the bill.",
    ]
    if settings.price.flat_usd_per_mwh is not None:
        said.append(f"The price stands at {settings.price.flat_usd_per_mwh:g} USD/MWh.")
    if settings.carbon.flat_kg_per_mwh is not None:
        said.append(f"Emissions stand at {settings.carbon.flat_kg_per_mwh:g} kg/MWh.")
    if any(pool.precision is Precision.INT4 for pool in settings.site.pools):
        said.append("INT4 curves are estimated, not measured.")
    return tuple(said)
