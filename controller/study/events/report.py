"""The report of many events: the figures beside their targets, and every event. Pure."""

from __future__ import annotations

from controller.study.charts import Series, Style, XyChart
from controller.study.events.account import EventFigures
from controller.study.events.fleets import MARGIN_FRAC, WAIT_S
from controller.study.events.result import EventsResult, Group
from controller.study.events.settings import EventsStudySettings
from controller.study.study import Report
from controller.study.tables import Cell, Column, Table

PJM_2025 = 0.67
"""Performance of PJM's demand-response fleet, summer 2025."""
_EVENTS = (
    Column("event"),
    Column("form"),
    Column("asked", percent=True),
    Column("cut", percent=True),
    Column("notice, s"),
    Column("min"),
    Column("ramp, s"),
    Column("pools"),
    Column("baseline, kW", 1),
    Column("limit, kW", 1),
    Column("floor, kW", 1),
    Column("fleet can"),
    Column("over"),
    Column("of"),
    Column("least performance", 2),
    Column("90 % after, s"),
    Column("raises"),
    Column("dropped above flex", 2, percent=True),
    Column("rebound", percent=True, signed=True),
)


def report(settings: EventsStudySettings, found: EventsResult) -> Report:
    """Tables and the chart of a result."""
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(found),
        tables=(_summary(found), _each(found)),
        charts=(_chart(found),),
        assumptions=_assumptions(settings, found),
        sources=(
            "Azure LLM Inference Trace 2023, conversation and code (CC BY 4.0)",
            "ML.ENERGY Leaderboard v3: power and throughput curves; INT4 and some FP8 curves are derived by rule",
            "ERCOT day-ahead prices 2022, LZ_HOUSTON; CAISO marginal emissions, August 2020",
            "PJM summer 2025 performance 67 %: the market monitor's account of demand response",
        ),
    )


def _paragraphs(found: EventsResult) -> tuple[str, ...]:
    whole = found.everything
    told = [
        f"{whole.events} events: {whole.over} of {whole.intervals:,} settlement intervals above the limit after the "
        f"ramp, in {whole.events_over} events; delivered less than committed in {whole.below_commitment} intervals of "
        f"{whole.events_below} events."
    ]
    for group in found.groups:
        told.append(
            f"{group.name}: {group.events} events, {group.over} of {group.intervals:,} intervals over, in "
            f"{group.events_over} events."
        )
    return tuple(told)


def _summary(found: EventsResult) -> Table:
    groups = (found.everything, *found.groups)
    rows = [(label, target, *(_text(group, name) for group in groups)) for label, target, name in _LINES]
    return Table(
        "Figures and targets",
        (Column("figure"), Column("target"), *(Column(group.name) for group in groups)),
        tuple(rows),
        note="The fleet's floor tells the groups apart: see docs/reference/curtailment.md.",
    )


_LINES = (
    ("events", "", "events"),
    ("settlement intervals after the ramp", "", "intervals"),
    ("of them over the limit", "0", "over"),
    ("events with one", "0", "events_over"),
    ("worst, over its limit", "", "worst_over_frac"),
    ("ticks over the limit", "", "instants_over_frac"),
    ("mean above the limit", "", "over_frac"),
    ("mean distance from the draw that was set", "2 %", "control_frac"),
    ("from the limit, while work waits", "2 %", "tracking_frac"),
    ("least performance of an interval", "1", "performance_min"),
    ("mean performance", "1 (PJM 2025: 0.67)", "performance_mean"),
    ("intervals below commitment", "0", "below_commitment"),
    ("energy not delivered", "0", "missing_frac"),
    ("90 % of the cut after, median s", "", "to_90_median_s"),
    ("longest, s", "300", "to_90_most_s"),
    ("never", "0", "never_90"),
    ("cuts of 25 to 35 %", "", "thirty"),
    ("90 % of them after, median s", "30", "thirty_median_s"),
    ("longest, s", "", "thirty_most_s"),
    ("decisions in force", "", "actions"),
    ("that raised the power, in the ramp", "0", "raises_in_ramp"),
    ("that raised it above the limit after", "0", "raises_after"),
    ("tokens cut off above flex", "0", "lost_tokens"),
    ("tokens above flex that waited too long", "0", "dropped_frac"),
    ("events with one", "0", "events_dropped"),
    ("the same before the notice", "", "dropped_before_frac"),
    ("events with a quality budget exceeded", "0", "overdrawn"),
    ("events with a broken promise not foreseen", "0", "undeclared"),
    ("rebound over the baseline, median", "", "rebound_median_frac"),
    ("highest", "", "rebound_most_frac"),
)
_PERCENT_DIGITS = {
    "control_frac": 2,
    "tracking_frac": 2,
    "over_frac": 3,
    "dropped_frac": 3,
    "dropped_before_frac": 3,
    "missing_frac": 2,
}


def _text(group: Group, name: str) -> Cell:
    value = getattr(group, name)
    if value is None:
        return None
    if name.endswith("_frac"):
        return f"{100.0 * value:.{_PERCENT_DIGITS.get(name, 1)}f} %"
    if name.startswith("performance"):
        return f"{value:.3f}"
    return f"{value:,.0f}"


def _each(found: EventsResult) -> Table:
    return Table("Events", _EVENTS, tuple(_row(each) for each in found.events))


def _row(each: EventFigures) -> tuple[Cell, ...]:
    return (
        each.number,
        each.form,
        each.depth_frac,
        each.cut_frac,
        round(each.notice_s),
        round(each.length_s / 60.0),
        round(each.ramp_s),
        ", ".join(each.profiles),
        each.baseline_kw,
        each.limit_kw,
        each.floor_kw,
        each.verdict,
        each.over,
        each.intervals,
        each.performance_min,
        each.to_90_s,
        each.raises_in_ramp + each.raises_after,
        each.dropped_tokens / max(1.0, each.asked_tokens),
        each.rebound_frac,
    )


def _chart(found: EventsResult) -> XyChart:
    series = []
    for group in found.groups:
        held = [e for e in found.events if e.verdict == group.name and e.performance_min is not None]
        depths = tuple(100.0 * each.depth_frac for each in held)
        series.append(Series(group.name, depths, tuple(each.performance_min for each in held), Style.POINTS))
    return XyChart(
        "Least performance of an event's settlement intervals",
        "cut asked for, %",
        "delivered / committed",
        tuple(series),
    )


def _assumptions(settings: EventsStudySettings, found: EventsResult) -> tuple[str, ...]:
    return (
        f"SIMULATED: fleets, meter and load; the decisions are the controller's own tick and book of calls. Seed "
        f"{settings.seed}; event n is drawn from the seed and n alone.",
        "Fleets, loads, classes and calls are drawn at random; demand replays recorded hours from a random minute on, "
        "again and again, minute by minute, on a daily wave of up to 20 %.",
        f"A tick of {settings.tick_s:g} s round notice, start, ramp and end; else one of {settings.calm_ticks} ticks "
        "is decided while a call lasts, and half as many before and after. The service decides every 2 s.",
        f"A request above flex that waits longer than {WAIT_S:g} s, after which the router answers 503, is refused "
        "and counts as dropped.",
        f"The floor is the least draw with all classes above flex served within their quality budgets at the busiest "
        f"settlement interval; within reach: floor at most {1 - MARGIN_FRAC:.0%} of the limit. It is fixed by formula "
        "before a run.",
        f"The meter is exact. Searches that the clock ended: {found.late_plans}; another machine may find other plans.",
    )
