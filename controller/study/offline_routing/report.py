"""The study's report: tables and charts of energy, accuracy and wait. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.study.charts import Chart
from controller.study.offline_routing import report_charts
from controller.study.offline_routing.online import Flow
from controller.study.offline_routing.result import Online, Result
from controller.study.offline_routing.settings import OfflineRoutingSettings
from controller.study.offline_routing.zeta import Choice
from controller.study.study import Report
from controller.study.tables import Cell, Column, Table
from controller.units import joules_to_kwh, usd_of_energy

_KWH = Column("energy, kWh", 2)
_ACCURACY = Column("accuracy", 2, percent=True)


def report(result: Result, settings: OfflineRoutingSettings) -> Report:
    """Tables and charts of a result."""
    online = result.online
    return Report(
        title=settings.title,
        paragraphs=_paragraphs(result),
        tables=(
            _alone(result),
            _sweep(result),
            _choices(result, settings.choose.price_usd_per_mwh),
            *((_rules(result, online), _online_sweep(result, online)) if online else ()),
        ),
        charts=(report_charts.frontier(result), report_charts.shares(result), *_wait_charts(online)),
        assumptions=_assumptions(result, online is not None),
        sources=(f"Queries: {result.queries_source}", *result.sources),
    )


def _paragraphs(result: Result) -> tuple[str, ...]:
    first = result.choices[0]
    said = [
        f"{result.queries:,} queries of {result.groups:,} different lengths over {len(result.models)} models: "
        f"{first.reason} chooses zeta {first.point.zeta:.4g} with {joules_to_kwh(first.point.energy_j):.1f} kWh at an "
        f"accuracy of {first.point.accuracy_frac:.2%}."
    ]
    saved = [1 - s.point.energy_j / s.blind_energy_j for s in result.sweep if s.blind_energy_j]
    if saved:
        said.append(
            f"A coefficient for each query instead of one for each model saves up to {max(saved):.1%} of the energy at "
            "the same accuracy."
        )
    if result.online is not None:
        flows = {flow.rule: flow for flow in result.online.flows}
        alone, priced = flows["cost alone"], flows["cost and the price of waiting"]
        said.append(
            f"As queries arrive, cost alone has them wait {alone.wait_mean_s:,.1f} s on average; with waiting at a "
            f"price it is {priced.wait_mean_s:,.2f} s, at {priced.energy_j / alone.energy_j - 1:+.1%} energy and "
            f"{(priced.accuracy_frac - alone.accuracy_frac) * 100:+.2f} points of accuracy."
        )
    return tuple(said)


def _alone(result: Result) -> Table:
    return Table(
        "One model for all queries",
        (Column("model"), _KWH, _ACCURACY, Column("mean time, s", 1)),
        tuple(
            (a.model, None, None, None)
            if a.point is None
            else (a.model, joules_to_kwh(a.point.energy_j), a.point.accuracy_frac, a.point.runtime_s)
            for a in result.alone
        ),
        "A dash: some queries are outside of the model's range.",
    )


def _sweep(result: Result) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            s.point.zeta,
            joules_to_kwh(s.point.energy_j),
            s.point.accuracy_frac,
            s.point.runtime_s,
            *s.point.queries,
            None if s.blind_energy_j is None else s.point.energy_j / s.blind_energy_j - 1,
        )
        for s in result.sweep
    ]
    return Table(
        "Offline: the weight of energy against accuracy",
        (
            Column("zeta", 2),
            _KWH,
            _ACCURACY,
            Column("mean time, s", 1),
            *(Column(name) for name in result.models),
            Column("energy against one coefficient a model", 1, percent=True, signed=True),
        ),
        tuple(rows),
        "Queries of each model, assigned at least cost with a coefficient for each query; the optimum is proven. The "
        "last column compares with the best router of equal accuracy that does not look at a query's length.",
    )


def _choices(result: Result, price_usd_per_mwh: float) -> Table:
    return Table(
        "Zeta chosen automatically",
        (
            Column("chosen by"),
            Column("zeta", 4),
            _KWH,
            Column("energy, USD", 2),
            _ACCURACY,
            *(Column(name) for name in result.models),
            Column("at best"),
        ),
        tuple(
            (
                choice.reason,
                choice.point.zeta,
                joules_to_kwh(choice.point.energy_j),
                usd_of_energy(choice.point.energy_j, price_usd_per_mwh),
                choice.point.accuracy_frac,
                *choice.point.queries,
                _at_best(choice),
            )
            for choice in result.choices
        ),
        "At best: what no assignment surpasses under the same budget or target (Lagrange's bound).",
    )


def _at_best(choice: Choice) -> str | None:
    if choice.accuracy_bound_frac is not None:
        return f"{choice.accuracy_bound_frac:.4%}"
    if choice.energy_bound_j is not None:
        return f"{joules_to_kwh(choice.energy_bound_j):.3f} kWh"
    return None


def _flow_columns(models: Iterable[str]) -> tuple[Column, ...]:
    return (
        _KWH,
        _ACCURACY,
        Column("mean wait, s", 2),
        Column("p95, s", 1),
        Column("longest, s", 1),
        *(Column(name) for name in models),
    )


def _flow_cells(flow: Flow) -> tuple[Cell, ...]:
    return (
        joules_to_kwh(flow.energy_j),
        flow.accuracy_frac,
        flow.wait_mean_s,
        flow.wait_p95_s,
        flow.wait_max_s,
        *flow.queries,
    )


def _rules(result: Result, online: Online) -> Table:
    return Table(
        f"As queries arrive, zeta {online.zeta:.4g}",
        (Column("rule"), *_flow_columns(result.models)),
        tuple((flow.rule, *_flow_cells(flow)) for flow in online.flows),
        "The least shares of the offline case are not imposed here.",
    )


def _online_sweep(result: Result, online: Online) -> Table:
    return Table(
        "As queries arrive: without and with sight of the queues",
        (
            Column("zeta", 2),
            _KWH,
            _ACCURACY,
            Column("mean wait, s", 1),
            Column("with sight: energy, kWh", 2),
            Column("accuracy", 2, percent=True),
            Column("mean wait, s", 2),
            *(Column(name) for name in result.models),
        ),
        tuple(
            (
                s.zeta,
                joules_to_kwh(s.unaware.energy_j),
                s.unaware.accuracy_frac,
                s.unaware.wait_mean_s,
                joules_to_kwh(s.aware.energy_j),
                s.aware.accuracy_frac,
                s.aware.wait_mean_s,
                *s.aware.queries,
            )
            for s in online.sweep
        ),
        "Queries of each model: with sight. At zeta 0 dollars weigh nothing, and so does waiting.",
    )


def _wait_charts(online: Online | None) -> tuple[Chart, ...]:
    return () if online is None else (report_charts.waits(online),)


def _assumptions(result: Result, is_online: bool) -> tuple[str, ...]:
    said = [
        "SIMULATED: no query was sent to a model. Energy and time of a query follow the coefficients of each model, "
        "named under Sources.",
        "The number of output tokens is known when a query is assigned, as in the paper; a live router must guess it.",
        "Accuracy is the paper's measure: a model's mean score, weighted by the tokens of the queries it answers. It "
        "does not know which queries are hard.",
        "Energy is that of answering; what models draw without work is left out.",
    ]
    if result.queries_left_out:
        said.append(f"{result.queries_left_out:,} queries that no model may serve were left out.")
    if result.below_zero_frac > 0:
        said.append(
            f"The coefficients put {result.below_zero_frac:.1%} of the pairs of query and model below zero joules (a "
            "negative coefficient of input tokens); those count as zero."
        )
    if is_online:
        said.append(
            "A query occupies one of its model's servers for its whole time and waits first come, first served; times "
            "do not depend on how many others run."
        )
    return tuple(said)
