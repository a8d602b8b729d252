"""What holds of every plan, on small random fleets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.plan import Plan, PlanOrigin
from controller.optimizer.backlog import waiting_after
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData, SiteData
from controller.optimizer.dispatch import first_interval
from controller.optimizer.greedy import greedy, shifted
from controller.optimizer.onsite import Flows
from controller.optimizer.outcome import assemble, energy_kwh, retold
from controller.optimizer.solving import SolverOptions
from tests.fakes.problems import STEPS, at_site, battery_data, class_data, pool_data, steady
from tests.fakes.random_problems import PRICES, problems, rich_problems

EXACT = CvxpyPlanner(lambda: 0.0, SolverOptions(gap_frac=0.0))
QUICK = settings(max_examples=25, derandomize=True)
THOROUGH = settings(max_examples=60, derandomize=True)


@QUICK
@given(problems())
def test_no_plan_breaks_a_rule_whoever_makes_it(data: ProblemData) -> None:
    plan = EXACT.plan(data, time_limit_s=5.0)
    assert violations(plan, data) == ()
    assert violations(greedy(data), data) == ()
    serving = tuple(pool.on[0] for pool in plan.pools)
    assert violations(EXACT.dispatch(data, serving), first_interval(data, serving)) == ()
    still = replace(data, pools=tuple(replace(p, min_up_steps=1) for p in data.pools), may_stop=True)
    assert violations(shifted(still, plan, 0), still) == ()


@THOROUGH
@given(rich_problems())
def test_nor_does_one_of_several_sites_with_assets_and_work_that_waits(data: ProblemData) -> None:
    plan = EXACT.plan(data, time_limit_s=5.0)
    assert violations(plan, data) == ()
    assert violations(greedy(data), data) == ()
    serving = tuple(pool.on[0] for pool in plan.pools)
    assert violations(EXACT.dispatch(data, serving), first_interval(data, serving)) == ()
    assert violations(retold(data, plan), data) == ()
    still = replace(data, pools=tuple(replace(p, min_up_steps=1) for p in data.pools), may_stop=True)
    assert violations(shifted(still, plan, 0), still) == ()


@QUICK
@given(problems(), st.lists(st.booleans(), min_size=8, max_size=8), st.booleans())
def test_what_is_held_stays_as_it_is_whoever_plans(data: ProblemData, held: list[bool], may_stop: bool) -> None:
    pools = tuple(
        replace(p, is_held=True, min_on=p.on_now, max_on=p.on_now, locked=(0,) * STEPS) if is_held else p
        for p, is_held in zip(data.pools, itertools.cycle(held), strict=False)
    )
    data = replace(data, pools=pools, may_stop=may_stop)
    free = EXACT.plan(replace(data, pools=tuple(replace(p, is_held=False) for p in pools)), time_limit_s=5.0)
    for plan in (EXACT.plan(data, time_limit_s=5.0), greedy(data), shifted(data, free, 0)):
        kept = [(p, planned) for p, planned in zip(pools, plan.pools, strict=True) if p.is_held]
        assert all((set(made.on), set(made.sleeping)) == ({p.on_now}, {p.sleeping_now}) for p, made in kept)
    assert violations(EXACT.plan(data, time_limit_s=5.0), data) == ()
    assert violations(greedy(data), data) == ()


@QUICK
@given(rich_problems(), st.sampled_from([1.5, 4.0, 20.0]))
def test_higher_prices_never_make_dear_energy_worth_more(data: ProblemData, factor: float) -> None:
    # At the old prices, what is bought at prices all higher by a factor costs no more than what was bought before.
    free = _unpriced(data)
    dear = _everywhere(free, lambda site: {"price_usd_per_mwh": tuple(factor * usd for usd in site.price_usd_per_mwh)})
    then, now = (_bill_usd(EXACT.plan(each, time_limit_s=5.0), free) for each in (free, dear))
    assert now <= then + 1e-4 * abs(then) + 1e-6


def _unpriced(data: ProblemData) -> ProblemData:
    """The problem without what makes prices of moves or promises follow those of energy, and without limits."""
    pools = tuple(replace(pool, start_usd=0.0, stop_usd=0.0) for pool in data.pools)
    return _everywhere(
        replace(data, pools=pools),
        lambda site: {
            "limit_w": (None,) * STEPS,
            "battery": site.battery and replace(site.battery, final_wh=0.0),
        },
    )


def _everywhere(data: ProblemData, change: Callable[[SiteData], dict[str, Any]]) -> ProblemData:
    return replace(data, sites=tuple(replace(site, **change(site)) for site in data.sites))


def _bill_usd(plan: Plan, data: ProblemData) -> float:
    return sum(
        watts * usd
        for site, prices in zip(plan.sites, data.energy_usd_per_w, strict=True)
        for watts, usd in zip(site.import_w, prices, strict=True)
    )


@QUICK
@given(rich_problems(), st.floats(0.5, 0.95))
def test_a_tighter_limit_never_costs_less_anywhere(data: ProblemData, share: float) -> None:
    rich = replace(_unpriced(data), may_stop=False)
    limited = _everywhere(rich, lambda site: {"limit_w": (5000.0,) * STEPS})
    tighter = _everywhere(rich, lambda site: {"limit_w": (5000.0 * share,) * STEPS})
    loose, tight = EXACT.plan(limited, time_limit_s=5.0), EXACT.plan(tighter, time_limit_s=5.0)
    if not loose.slack and not tight.slack:
        assert tight.cost_usd >= loose.cost_usd - 1e-4 * abs(loose.cost_usd) - 1e-5


@st.composite
def tiny_problems(draw: st.DrawFn) -> ProblemData:
    """One pool of two instances and a class that may wait one interval, beside a battery."""
    demand = tuple(draw(st.sampled_from([0.0, 400.0, 800.0, 1600.0])) for _ in range(STEPS))
    return steady(
        pools=(pool_data("full", instances=2, sleeping_now=1, max_on=2, min_up_steps=draw(st.integers(1, 2))),),
        classes=(class_data("batch", 0.0, demand_tokens_per_s=demand, defer_steps=draw(st.integers(0, 1))),),
        battery=draw(st.sampled_from([None, battery_data(soc_wh=250.0, discharge_frac=0.8)])),
        price_usd_per_mwh=draw(st.sampled_from([(50.0,) * STEPS, PRICES, (20.0, 100.0, 50.0)])),
        may_stop=False,
        moves_anywhen=True,
    )


def _every_plan(data: ProblemData) -> Iterator[Plan]:
    """Plans of every number of instances, with half, all or nothing put off, and the battery at some powers."""
    [cls] = data.classes
    shares = (0.0, 0.5, 1.0) if cls.defer_steps else (0.0,)
    nets_w = (-500.0, 0.0, 250.0) if data.sites[0].battery else (0.0,)
    for on in itertools.product(range(3), repeat=STEPS):
        for first, second in itertools.product(shares, repeat=2):
            a, b, c = cls.demand_tokens_per_s
            rates = ((((1 - first) * a, first * a + (1 - second) * b, second * b + c),),)
            for net_w in itertools.product(nets_w, repeat=STEPS):
                charge_w = tuple(max(0.0, watts) for watts in net_w)
                discharge_w = tuple(max(0.0, -watts) for watts in net_w)
                flows = Flows(((0.0,) * STEPS,), (charge_w,), (discharge_w,))
                asleep = tuple(2 - count for count in on)
                yield assemble(data, PlanOrigin.MILP, (on,), (asleep,), rates, flows=flows)


@settings(max_examples=8, derandomize=True)
@given(tiny_problems())
def test_no_plan_of_a_tiny_problem_is_cheaper(data: ProblemData) -> None:
    plan = EXACT.plan(data, time_limit_s=5.0)
    better = [
        each for each in _every_plan(data) if not each.slack and (plan.slack or each.cost_usd < plan.cost_usd - 1e-7)
    ]
    assert all(violations(each, data) for each in better)


@settings(max_examples=12, derandomize=True)
@given(
    st.lists(st.sampled_from([0.0, 500.0, 850.0]), min_size=6, max_size=6),
    st.lists(st.sampled_from([20.0, 50.0, 90.0]), min_size=8, max_size=8),
    st.integers(0, 2),
)
def test_planning_again_every_interval_puts_nobody_off_forever(
    demand: list[float], prices: list[float], defer_steps: int
) -> None:
    coming, soc_wh = (*demand, 0.0, 0.0, 0.0), 500.0
    waiting: tuple[float, ...] = ()
    came = served = 0.0
    for now in range(len(demand) + 1):
        batch = class_data(
            "batch",
            0.0,
            demand_tokens_per_s=coming[now : now + STEPS],
            defer_steps=defer_steps,
            backlog_tokens_per_s=waiting,
        )
        data = steady(
            classes=(batch,),
            price_usd_per_mwh=tuple((prices * 2)[now : now + STEPS]),
            battery=battery_data(soc_wh=soc_wh, charge_frac=0.9, final_wh=500.0),
        )
        plan = EXACT.plan(data, time_limit_s=5.0)
        assert violations(plan, data) == ()
        assert {slack.promise for slack in plan.slack} <= {"headroom"}
        came += coming[now]
        served += plan.pools[0].output_tokens_per_s[0][1][0]
        [waiting] = waiting_after(data, plan)
        soc_wh = plan.sites[0].soc_wh[1]
        assert abs(came - served - sum(waiting)) < 1e-2
        assert sum(waiting) <= sum(demand[max(0, now - defer_steps + 1) : now + 1]) + 1e-2


@QUICK
@given(problems(), st.sampled_from([1.5, 4.0, 20.0]))
def test_a_higher_price_never_buys_more_energy(data: ProblemData, factor: float) -> None:
    free = replace(data, pools=tuple(replace(pool, start_usd=0.0) for pool in data.pools))
    calm = at_site(free, limit_w=(None,) * STEPS)
    dear = at_site(calm, price_usd_per_mwh=tuple(price * factor for price in calm.sites[0].price_usd_per_mwh))
    cheap_kwh, dear_kwh = (energy_kwh(EXACT.plan(each, time_limit_s=5.0)) for each in (calm, dear))
    assert dear_kwh <= cheap_kwh * (1 + 1e-4)


@QUICK
@given(problems(), st.floats(0.5, 0.95))
def test_a_tighter_limit_never_costs_less(data: ProblemData, share: float) -> None:
    # A stop saves within the horizon and pays after it: the bill of the horizon alone would not tell.
    [site] = data.sites
    limits_w = tuple(6000.0 if limit is None else limit for limit in site.limit_w)
    limited = at_site(replace(data, may_stop=False), limit_w=limits_w)
    tighter = at_site(limited, limit_w=tuple(share * limit for limit in limits_w))
    loose, tight = EXACT.plan(limited, time_limit_s=5.0), EXACT.plan(tighter, time_limit_s=5.0)
    if not loose.slack and not tight.slack:
        assert tight.cost_usd >= loose.cost_usd * (1 - 1e-4) - 1e-9
    broken_loose, broken_tight = ({s.promise for s in plan.slack} for plan in (loose, tight))
    if broken_loose & {"serve", "limit"}:
        assert broken_tight & {"serve", "limit"}
