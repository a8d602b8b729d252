"""The study `offline_routing`: from its settings to its result and report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.simulation.trace import DEFAULT_TRACE, read_trace
from controller.study.offline_routing import blind, online, zeta
from controller.study.offline_routing.case import Case, all_on, costs, make_case, solve
from controller.study.offline_routing.models import make_model
from controller.study.offline_routing.queries import Queries, from_trace, synthetic, within_range
from controller.study.offline_routing.report import report
from controller.study.offline_routing.result import Alone, Online, OnlineSwept, Result, Swept
from controller.study.offline_routing.settings import (
    ChooseSettings,
    OfflineRoutingSettings,
    OnlineSettings,
    SyntheticQueries,
    TraceQueries,
)
from controller.study.offline_routing.zeta import Choice
from controller.study.study import Outcome, Progress, Study
from controller.units import J_PER_MWH, SECONDS_PER_HOUR

BUNDLED_TRACE = "Azure LLM Inference Trace 2023, conversation (AzurePublicDataset, CC BY 4.0)"
_OFFLINE_FRAC = 0.4
"""Share of the progress bar that the offline part takes."""


def run(settings: OfflineRoutingSettings, progress: Progress) -> Outcome:
    """Compute the outcome of a scenario.

    Raises:
        ConfigError: a query may go nowhere, a bound or a budget cannot be kept, a measurement or the trace is absent.
    """
    models = tuple(make_model(written) for written in settings.models)
    leave_out = settings.queries.outside == "leave_out"
    queries = within_range(_queries(settings.queries), models, leave_out=leave_out)
    case = make_case(models, queries)
    sweep = _swept(case, settings.zetas, progress)
    progress(_OFFLINE_FRAC, "choosing zeta")
    choices = _choices(case, sweep, settings.choose)
    flows = None
    if settings.online is not None:
        chosen = choices[0].point.zeta
        flows = _online(case, queries, settings.online, settings.choose, (chosen, *settings.zetas), progress)
    progress(1.0, "done")
    result = Result(
        models=tuple(model.name for model in models),
        sources=tuple(f"{model.name}: {model.source}" for model in models),
        queries=case.queries,
        queries_left_out=queries.left_out,
        queries_source=queries.source,
        groups=len(case.amount),
        below_zero_frac=case.below_zero_frac,
        alone=tuple(Alone(model.name, all_on(case, k)) for k, model in enumerate(models)),
        sweep=sweep,
        choices=choices,
        online=flows,
    )
    return Outcome({"result": result}, report(result, settings))


STUDY = Study("offline_routing", OfflineRoutingSettings, run)


def _queries(written: TraceQueries | SyntheticQueries) -> Queries:
    if isinstance(written, SyntheticQueries):
        return synthetic(written, np.random.default_rng(written.seed))
    path = DEFAULT_TRACE if written.path is None else Path(written.path)
    source = BUNDLED_TRACE if written.path is None else f"the trace {path.name}"
    return from_trace(read_trace(path), written, source)


def _swept(case: Case, zetas: tuple[float, ...], progress: Progress) -> tuple[Swept, ...]:
    corners = blind.corners(case) if case.able.all() else ()
    sweep = []
    for number, value in enumerate(zetas):
        progress(_OFFLINE_FRAC * number / len(zetas), f"assigning at zeta {value:g}")
        point = solve(case, value)
        sweep.append(Swept(point, blind.energy_at(corners, point.accuracy_frac)))
    return tuple(sweep)


def _choices(case: Case, sweep: tuple[Swept, ...], wanted: ChooseSettings) -> tuple[Choice, ...]:
    """The value of accuracy first where it is given, the knee last."""
    found = []
    if wanted.accuracy_usd_per_mtoken_point is not None:
        found.append(zeta.by_value(case, wanted.price_usd_per_mwh, wanted.accuracy_usd_per_mtoken_point))
    if wanted.energy_budget_kwh is not None:
        found.append(zeta.by_energy(case, wanted.energy_budget_kwh))
    if wanted.accuracy_target_frac is not None:
        found.append(zeta.by_accuracy(case, wanted.accuracy_target_frac))
    return (*found, zeta.knee(tuple(swept.point for swept in sweep)))


def _online(
    case: Case,
    queries: Queries,
    wanted: OnlineSettings,
    money: ChooseSettings,
    zetas: tuple[float, ...],
    progress: Progress,
) -> Online:
    """The rules at the first zeta, then the others as a sweep."""
    chosen, *others = zetas

    def at(value: float) -> tuple[online.Flow, online.Flow]:
        cost, wait = costs(case, value), online.pricing_wait(_wait_cost(case, wanted, money, value))
        unaware = online.route(case, queries.arrival_s, cost, online.cheapest, "cost alone")
        return unaware, online.route(case, queries.arrival_s, cost, wait, "cost and the price of waiting")

    progress(_OFFLINE_FRAC, "routing as queries arrive")
    cost = costs(case, chosen)
    unaware, aware = at(chosen)
    rules = [(online.in_turn, "in turn"), *((online.only(k), f"{m.name} alone") for k, m in enumerate(case.models))]
    limit = online.limiting_wait(wanted.wait_limit_s), f"cost, wait within {wanted.wait_limit_s:g} s"
    flows = [online.route(case, queries.arrival_s, cost, rule, name) for rule, name in (*rules, limit)]
    sweep = []
    for number, value in enumerate(others):
        progress(_OFFLINE_FRAC + (1 - _OFFLINE_FRAC) * number / len(others), f"routing at zeta {value:g}")
        sweep.append(OnlineSwept(value, *at(value)))
    return Online(chosen, (*flows[:-1], unaware, flows[-1], aware), tuple(sweep))


def _wait_cost(case: Case, wanted: OnlineSettings, money: ChooseSettings, value: float) -> float:
    """Cost of a second's wait in the unit of the weighted sum, in which p·E/ζ USD are one."""
    usd_per_s = wanted.wait_usd_per_hour / SECONDS_PER_HOUR
    return usd_per_s * value * J_PER_MWH / (money.price_usd_per_mwh * case.energy_scale_j)
