"""Which way the least cost moves when something is allowed, with every option drawn at random.

Each law holds of the objective, prices of broken promises included: of two problems of which one allows all that the
other does, at the same prices, the freer one costs no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import SolverError
from controller.optimizer.data import ClassData, PoolData, ProblemData, SiteData
from controller.optimizer.kept import Promises
from controller.optimizer.program import Answer, Search, solve
from controller.optimizer.values import energy_bill
from tests.fakes.least_cost import LIMIT_S, every_answer, searched, stated, tolerance
from tests.fakes.problems import STEPS, battery_data, response_data
from tests.fakes.random_problems import large_fleets, rich_problems

Change = Callable[[ProblemData], ProblemData]
LAWFUL = settings(max_examples=20, derandomize=True)
KEPT_W = 4000.0
"""Stands for no limit, so that a change of limits leaves the times at which instances may move as they are."""


def sites(change: Callable[[SiteData], dict[str, Any]]) -> Change:
    return lambda data: replace(data, sites=tuple(replace(site, **change(site)) for site in data.sites))


def pools(change: Callable[[PoolData], dict[str, Any]]) -> Change:
    return lambda data: replace(data, pools=tuple(replace(pool, **change(pool)) for pool in data.pools))


def classes(change: Callable[[ClassData], dict[str, Any]]) -> Change:
    return lambda data: replace(data, classes=tuple(replace(cls, **change(cls)) for cls in data.classes))


def as_it_is(data: ProblemData) -> ProblemData:
    return data


@dataclass(frozen=True)
class Law:
    """A problem costs no more than another.

    Attributes:
        before: makes the problem one of which the law is told.
        freer: allows more.
    """

    before: Change
    freer: Change


def _scaled(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(factor * value for value in values)


def _just_enough_gpus(data: ProblemData) -> ProblemData:
    held = sum(pool.gpus_per_instance * (pool.on_now + pool.sleeping_now) for pool in data.pools)
    return sites(lambda _: {"gpus": max(8, held)})(data)


def _where_energy_has_its_price(data: ProblemData) -> ProblemData:
    """Energy that nobody is paid to take, and no bound on how fast power changes: work never earns anything."""
    return sites(
        lambda site: {
            "price_usd_per_mwh": tuple(abs(usd) for usd in site.price_usd_per_mwh),
            "ramp_w": None,
            "ramp_down_w": None,
        }
    )(data)


def _less_demand(data: ProblemData) -> ProblemData:
    first, *others = data.classes
    first = replace(
        first,
        demand_tokens_per_s=_scaled(first.demand_tokens_per_s, 0.6),
        backlog_tokens_per_s=_scaled(first.backlog_tokens_per_s, 0.6),
    )
    return replace(data, classes=(first, *others))


def _own_battery(_: SiteData) -> dict[str, Any]:
    held = {"soc_wh": 60.0, "final_wh": 60.0}
    return {"battery": battery_data(capacity_wh=100.0, charge_w=2000.0, discharge_w=1500.0, charge_frac=0.9, **held)}


def _without_programme(data: ProblemData) -> ProblemData:
    # What a battery lacks at the end has a price that follows the reward.
    return sites(lambda site: {"response": None, "battery": site.battery and replace(site.battery, final_wh=0.0)})(data)


def _programme(data: ProblemData) -> ProblemData:
    """A programme whose baseline is what is drawn without it: below one that is lower it is paid back."""
    drawn = _drawn_w(data, searched(data))
    programmes = [response_data(baseline_w=tuple(watts + 1e-3 for watts in row)) for row in drawn]
    taking_part = [replace(site, response=each) for site, each in zip(data.sites, programmes, strict=True)]
    return replace(data, sites=tuple(taking_part))


def _drawn_w(data: ProblemData, answer: Answer) -> list[list[float]]:
    columns = stated(data).columns
    return [list(map(float, row)) for row in answer.x[columns.get("import_w", columns["site_w"])]]


LAWS = {
    "a looser limit": Law(
        sites(lambda site: {"limit_w": tuple(KEPT_W if limit is None else limit for limit in site.limit_w)}),
        sites(lambda site: {"limit_w": _scaled(site.limit_w, 1.3)}),
    ),
    "more GPUs": Law(_just_enough_gpus, sites(lambda site: {"gpus": site.gpus + 4})),
    "a larger quality budget": Law(
        as_it_is, classes(lambda cls: {"quality_budget_frac": _scaled(cls.quality_budget_frac, 1.4)})
    ),
    "less demand": Law(_where_energy_has_its_price, _less_demand),
    "a battery": Law(sites(lambda _: {"battery": None}), sites(_own_battery)),
    "photovoltaics": Law(sites(lambda _: {"pv_w": ()}), sites(lambda _: {"pv_w": (0.0, 900.0, 3000.0)})),
    "a response programme": Law(_without_programme, _programme),
    "longer to wait": Law(as_it_is, classes(lambda cls: {"defer_steps": cls.defer_steps + 1})),
    "a budget over the horizon": Law(
        classes(lambda _: {"quality_window": False}), classes(lambda _: {"quality_window": True})
    ),
    "no spare instance": Law(as_it_is, classes(lambda _: {"survives_loss": False})),
    "faster ramps": Law(
        as_it_is, sites(lambda site: {"ramp_w": site.ramp_w and 1.5 * site.ramp_w, "ramp_down_w": None})
    ),
    "moves at any time": Law(as_it_is, lambda data: replace(data, moves_anywhen=True)),
    "stops": Law(lambda data: replace(data, may_stop=False), lambda data: replace(data, may_stop=True)),
    "moves that cost nothing": Law(as_it_is, pools(lambda _: {"start_usd": 0.0})),
    "no least up-time": Law(as_it_is, pools(lambda _: {"min_up_steps": 1})),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
@LAWFUL
@given(data=rich_problems())
def test_what_allows_more_never_costs_more(law: Law, data: ProblemData) -> None:
    bound = law.before(data)
    dear, cheap = searched(bound), searched(law.freer(bound))
    assert cheap.objective <= dear.objective + tolerance(dear.objective) + tolerance(cheap.objective)


@LAWFUL
@given(rich_problems(), st.integers(0, STEPS - 1), st.sampled_from([30.0, 400.0]))
def test_a_higher_price_of_one_interval_never_buys_more_in_it(data: ProblemData, t: int, more: float) -> None:
    # Prices of stops and of what a battery lacks would follow that of energy.
    data = pools(lambda _: {"stop_usd": 1e-4})(
        sites(lambda site: {"battery": site.battery and replace(site.battery, final_wh=0.0)})(data)
    )
    first, *others = data.sites
    prices = list(first.price_usd_per_mwh)
    prices[t] += more
    dear = replace(data, sites=(replace(first, price_usd_per_mwh=tuple(prices)), *others), moves_anywhen=True)
    cheap = replace(data, moves_anywhen=True)
    answers = [searched(each) for each in (cheap, dear)]
    then_w, now_w = (_drawn_w(each, found)[0][t] for each, found in zip((cheap, dear), answers, strict=True))
    objective_per_w = more * data.horizon.dt_s / 3600.0
    assert now_w <= then_w + sum(tolerance(found.objective) for found in answers) / objective_per_w


@st.composite
def tiny_problems(draw: st.DrawFn) -> ProblemData:
    """Every option, with one or two instances a pool that cannot sleep."""
    data = draw(rich_problems())
    few = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)]))
    instances = [
        replace(pool, instances=n, max_on=n, on_now=min(n, pool.on_now), sleeping_now=0, may_sleep=False)
        for pool, n in zip(data.pools, few, strict=True)
    ]
    return replace(data, pools=tuple(instances), moves_anywhen=True, may_stop=True)


@settings(max_examples=40, derandomize=True)
@given(tiny_problems(), st.sampled_from([0.0, 3e-3]))
def test_no_choice_of_instances_is_better_by_more_than_the_gap(data: ProblemData, gap_frac: float) -> None:
    found, best = searched(data, gap_frac), min(answer.objective for answer in every_answer(data))
    near = tolerance(best)
    assert best - near <= found.objective <= best + near + gap_frac * energy_bill(data)
    assert found.bound <= best + near


@settings(max_examples=60, derandomize=True)
@given(rich_problems(), st.sampled_from([0.0, 3e-3]))
def test_nor_is_what_branch_and_bound_finds_alone(data: ProblemData, gap_frac: float) -> None:
    found, plain = searched(data, gap_frac), solve(stated(data), Search(LIMIT_S), whole=True)
    near = tolerance(plain.objective)
    assert plain.objective - near <= found.objective <= plain.objective + near + gap_frac * energy_bill(data)
    assert found.bound <= plain.objective + near


@LAWFUL
@given(large_fleets())
def test_a_gap_is_no_leave_to_break_a_promise(data: ProblemData) -> None:
    gap_frac, program = 3e-3, stated(data)
    relaxed = solve(program, Search(LIMIT_S), whole=False)
    promises = Promises.kept_by(program, relaxed.x)
    found = searched(data, gap_frac)
    if promises.are_kept(found.x):
        return
    try:
        keeping = solve(
            promises.bound(program), Search(LIMIT_S, abs_gap=0.1 * gap_frac * energy_bill(data)), whole=True
        )
    except SolverError:
        return
    assert keeping.objective > relaxed.objective + gap_frac * energy_bill(data)
