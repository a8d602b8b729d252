"""The study's report: what was found, the table, the events, the charts, what it rests on. Pure."""

from __future__ import annotations

from controller.study.fleet.signals import demand_origin
from controller.study.site.event_account import AFTER_S, BEFORE_S
from controller.study.site.report_charts import Found, charts
from controller.study.site.result import SiteResult
from controller.study.site.settings import EngineModel, SiteStudySettings
from controller.study.study import Report
from controller.study.tables import Column, Table
from router.contract import Precision

_FLEETS = (
    Column("fleet"),
    Column("electricity, USD", 2),
    Column("drawn, MWh", 3),
    Column("CO2, kg"),
    Column("peak, kW", 1),
    Column("of 15 min", 1),
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
    Column("over before, kW", 1, signed=True),
    Column("waiting at most, 1e3 tokens", 1),
    Column("cleared after, s"),
    Column("late, 1e3 tokens", 1),
)
_LATENCIES = (
    Column("fleet"),
    Column("when"),
    Column("first tokens"),
    Column("TTFT p50, s", 3),
    Column("p99, s", 3),
    Column("ITL p50, s", 4),
    Column("p99, s", 4),
)
_REQUESTS = (
    Column("fleet"),
    Column("requests"),
    Column("answered whole"),
    Column("cut off"),
    Column("under way at the end"),
)


def report(settings: SiteStudySettings, found: Found) -> Report:
    """Tables and charts of a result."""
    signals = found.case.signals
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(found),
        tables=(_fleets(settings, found.result), *_events(settings, found.result), *_latencies(found.result)),
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
    most = result.controlled.most_moves_per_hour
    if most is not None:
        said.append(f"Commands to the instances of one pool within an hour, the first left out: {most} at most.")
    return tuple(said)


def _fleets(settings: SiteStudySettings, result: SiteResult) -> Table:
    late = "waited at the router" if settings.engine is EngineModel.FLUID else "first token came"
    late += " later" if settings.engine is EngineModel.REQUESTS else " longer"
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
                fleet.billed_peak_kw,
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
        note=f"late: {late} than the class is promised; what is neither served nor lost was under way at the end; the "
        "fixed fleet hears of no event",
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
            event.rebound_kw,
            event.backlog_tokens / 1000.0,
            event.backlog_cleared_s,
            event.late_tokens / 1000.0,
        )
        for event in result.events
    )
    return (
        Table(
            "Events",
            _EVENTS,
            rows,
            note=f"before: mean of the {BEFORE_S / 60:g} min before the notice; an interval lasts "
            f"{settings.interval_s:g} s; each event is judged by its own limit; rebound: highest interval in the "
            f"{AFTER_S / 60:g} min after the end, a dash where another limit is then in force; waiting: output tokens "
            "at the router from the start on; cleared: from the end until less waits than is asked for in a second",
        ),
    )


def _latencies(result: SiteResult) -> tuple[Table, ...]:
    if not result.latencies:
        return ()
    requests = tuple(
        (
            fleet.name,
            round(fleet.asked_requests),
            round(fleet.served_requests),
            round(fleet.lost_requests),
            round(fleet.waiting_requests),
        )
        for fleet in (result.fixed, result.controlled)
    )
    waits = tuple(
        (each.fleet, each.when, each.first_tokens, each.ttft_p50_s, each.ttft_p99_s, each.itl_p50_s, each.itl_p99_s)
        for each in result.latencies
    )
    return (
        Table("Requests", _REQUESTS, requests),
        Table(
            "Latencies",
            _LATENCIES,
            waits,
            note="TTFT: arrival at the router to the first token; ITL: gap between two tokens of an answer; by when "
            "the token came; the fixed fleet hears of no event",
        ),
    )


def _simulated(settings: SiteStudySettings) -> str:
    said = "GPUs, engines, routers and the meter are SIMULATED"
    if settings.engine is EngineModel.FLUID:
        return (
            f"{said}: tokens flow at constant rates within a tick, on the curves named below; there are no single "
            "requests, so waits below a second or so are not seen."
        )
    return (
        f"{said}, request by request and step by step, on the curves named below. Requests come at random (Poisson) "
        "with geometrically distributed lengths; no network and no tokenizer takes time."
    )


def _assumptions(settings: SiteStudySettings, found: Found) -> tuple[str, ...]:
    case = found.case
    said = [
        _simulated(settings),
        "The decisions are the service's own, tick by tick, with their commands' latencies; its clock is virtual.",
        demand_origin({cls.name: cls.demand for cls in settings.classes}, settings.seed),
        "The controller sees the past of demand alone; price and emissions of the coming hours are known to it.",
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
