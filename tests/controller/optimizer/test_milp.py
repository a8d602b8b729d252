import itertools
import json
from pathlib import Path

import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.outcome import assemble
from controller.optimizer.solving import SolverOptions
from tests.fakes.problems import STEPS, class_data, pool_data, problem, site_data

EXACT = SolverOptions(gap_frac=0.0)
GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture(scope="module")
def planner():
    return CvxpyPlanner(lambda: 0.0, EXACT)


def solved(planner, data):
    plan = planner.plan(data, time_limit_s=20.0)
    assert violations(plan, data) == ()
    return plan


def best_by_enumeration(data):
    """Cheapest pair of constant instance counts that serves the demand, all of it on the first pool that has room."""
    best = None
    for full, lean in itertools.product(range(4), range(4)):
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            rate = data.classes[0].demand_tokens_per_s[0]
            rates = (((rate * share,) * STEPS, (rate * (1 - share),) * STEPS),)
            on, asleep = ((full,) * STEPS, (lean,) * STEPS), ((3 - full,) * STEPS, (3 - lean,) * STEPS)
            plan = assemble(data, PlanOrigin.MILP, on, asleep, rates)
            if not violations(plan, data) and not plan.slack and (best is None or plan.cost_usd < best.cost_usd):
                best = plan
    return best


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the budget makes the two share"),
        pytest.param({"classes": (class_data("standard", 800.0, quality_budget_frac=(0.0,) * STEPS),)}, id="no loss"),
        pytest.param({"classes": (class_data("standard", 800.0, quality_budget_frac=(0.02,) * STEPS),)}, id="any loss"),
        pytest.param({"limit_w": (4700.0,) * STEPS}, id="a limit that fits"),
    ],
)
def test_no_plan_found_by_enumeration_is_cheaper(planner, changes):
    pools = (
        pool_data("full", p0_w=2000.0, gpus_per_instance=4, wake_s=0.0),
        pool_data("lean", quality_loss_frac=0.02, wake_s=0.0),
    )
    data = problem(pools=pools, **changes)
    by_hand = best_by_enumeration(data)
    assert by_hand is not None
    assert solved(planner, data).cost_usd <= by_hand.cost_usd * (1 + 1e-9)


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("plan_*.json")))
def test_golden_plans(planner, name):
    case = json.loads((GOLDEN / f"{name}.json").read_text())
    change = case["problem"]
    data = problem(
        pools=tuple(
            pool_data(
                pool["name"], **{k: tuple(v) if isinstance(v, list) else v for k, v in pool.items() if k != "name"}
            )
            for pool in change["pools"]
        ),
        classes=tuple(
            class_data(cls["name"], cls["tokens_per_s"], quality_budget_frac=(cls["budget_frac"],) * STEPS)
            for cls in change["classes"]
        ),
        allowed=((True,) * len(change["pools"]),) * len(change["classes"]),
        busy_s_per_token=((1e-3,) * len(change["pools"]),) * len(change["classes"]),
        j_per_token=(tuple(change["j_per_token"]),) * len(change["classes"]),
        limit_w=tuple(change["limit_w"]),
    )
    plan = solved(planner, data)
    assert [list(pool.on) for pool in plan.pools] == case["expect"]["on"], case["why"]
    assert [s.promise for s in plan.slack] == case["expect"]["broken"], case["why"]
    for pool, expected in zip(plan.pools, case["expect"]["tokens_per_s"], strict=True):
        assert pool.output_tokens_per_s[0][1] == pytest.approx(tuple(expected), abs=0.5), case["why"]


def test_a_limit_moves_load_to_the_frugal_pool_before_anyone_yields(planner):
    free = solved(planner, problem(classes=(class_data("standard", 1200.0),)))
    tight = solved(planner, problem(classes=(class_data("standard", 1200.0),), limit_w=(None, 3600.0, 3600.0)))
    assert free.pools[0].on == (1, 1, 1)
    assert tight.pools[0].on[1:] == (0, 0)
    assert max(tight.power_w[1:]) <= 3600.5
    assert {s.promise for s in tight.slack} == {"quality"}


def test_when_all_cannot_be_had_the_contract_comes_first_or_last_by_its_price(planner):
    classes = (class_data("standard", 2500.0),)
    contract = solved(planner, problem(classes=classes, limit_w=(2500.0,) * STEPS))
    assert {"serve"} <= {s.promise for s in contract.slack}
    assert "limit" not in {s.promise for s in contract.slack}
    qos = solved(planner, problem(classes=classes, limit_w=(2500.0,) * STEPS, limit_usd_per_j=1e-7))
    assert "limit" in {s.promise for s in qos.slack}
    assert "serve" not in {s.promise for s in qos.slack}


def test_the_class_of_least_worth_yields_first(planner):
    data = problem(
        classes=(class_data("cheap", 900.0, serve_usd_per_token=1e-4), class_data("dear", 900.0)),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
        limit_w=(2500.0,) * STEPS,
    )
    assert {s.subject for s in solved(planner, data).slack if s.promise == "serve"} == {"cheap"}


def test_instances_wake_before_a_limit_that_needs_them_and_not_sooner(planner):
    # Quality is dear, so the lossless pool serves; under the limit only lean instances fit, and they take 50 s to wake.
    data = problem(
        pools=(
            pool_data("full", p0_w=2000.0, on_now=2, sleeping_now=1),
            pool_data("lean", on_now=0, sleeping_now=3, quality_loss_frac=0.02, wake_s=50.0),
        ),
        classes=(class_data("standard", 1700.0, quality_budget_frac=(0.02,) * STEPS, quality_usd_per_mtoken=100.0),),
        limit_w=(None, None, 3700.0),
        gpus=100,
    )
    plan = solved(planner, data)
    assert plan.pools[1].on == (0, 2, 2)
    assert plan.pools[0].on == (2, 2, 0)
    assert plan.slack == ()


def test_it_is_deterministic(planner):
    data = problem(limit_w=(None, 4000.0, 4000.0))
    first = solved(planner, data)
    solved(planner, problem())
    assert solved(planner, data) == first
    assert solved(CvxpyPlanner(lambda: 0.0, EXACT), data) == first


DEAR = site_data("dear", price_usd_per_mwh=(500.0,) * STEPS)


def two_sites(**changes):
    """One pool and one model at each of two sites; the second is dearer."""
    pools = (pool_data("here", on_now=1), pool_data("there", on_now=1, site=1))
    sites = (site_data("cheap"), DEAR)
    return problem(**{"pools": pools, "sites": sites, **changes})


def rate(plan, k, t):
    return sum(rates[t] for _, rates in plan.pools[k].output_tokens_per_s)


def test_work_goes_to_the_site_where_energy_is_cheap(planner):
    plan = solved(planner, two_sites())
    assert rate(plan, 0, STEPS - 1) == pytest.approx(800.0)
    assert plan.pools[1].on[-1] == 0
    assert [site.site_id for site in plan.sites] == ["cheap", "dear"]


def test_a_limit_of_one_site_sends_its_work_to_the_other(planner):
    limited = site_data("cheap", limit_w=(None, 1000.0, 1000.0))
    plan = solved(planner, two_sites(sites=(limited, DEAR)))
    assert rate(plan, 1, 1) == pytest.approx(800.0)
    assert plan.sites[0].power_w[1] <= 1000.5
    assert plan.slack == ()


def test_a_class_stays_where_it_reaches(planner):
    plan = solved(planner, two_sites(allowed=((False, True),)))
    assert rate(plan, 1, 0) == pytest.approx(800.0)


def test_each_site_holds_no_more_than_its_own_gpus(planner):
    small = site_data("cheap", gpus=2)
    busy = (class_data("standard", 1600.0),)
    pools = (pool_data("here", on_now=1, sleeping_now=0), pool_data("there", on_now=1, site=1))
    plan = solved(planner, two_sites(pools=pools, sites=(small, DEAR), classes=busy))
    assert max(plan.pools[0].on) == 1
    assert rate(plan, 0, 2) + rate(plan, 1, 2) == pytest.approx(1600.0)


LOSSY = pool_data("lean", on_now=3, quality_loss_frac=0.02)


def test_a_plan_from_scratch_begins_where_it_likes(planner):
    pools = (pool_data("full", on_now=0, sleeping_now=0, start_s=90.0, start_usd=1.0), LOSSY)
    data = problem(
        pools=pools, from_scratch=True, classes=(class_data("standard", 800.0, quality_budget_frac=(0.0,) * 3),)
    )
    plan = solved(planner, data)
    assert plan.pools[0].on == (1, 1, 1)
    assert plan.slack == ()
    assert plan.cost_usd < 1.0


def test_moves_of_later_intervals_are_paid_for_from_scratch_too(planner):
    rising = class_data("standard", 0.0, demand_tokens_per_s=(800.0, 800.0, 1600.0))
    pools = (
        pool_data("full", wake_s=0.0, start_usd=1.0),
        pool_data("lean", instances=0, max_on=0, on_now=0, sleeping_now=0),
    )
    plan = solved(planner, problem(pools=pools, classes=(rising,), from_scratch=True, moves_anywhen=True))
    assert plan.pools[0].on == (2, 2, 2)  # keeping one more on for two minutes is cheaper than waking it


def test_engines_that_cannot_sleep_are_on_or_off(planner):
    pools = (pool_data("full", sleeping_now=0), pool_data("lean", on_now=2, sleeping_now=0, may_sleep=False))
    plan = solved(planner, problem(pools=pools))
    assert set(plan.pools[1].sleeping) == {0}


def test_a_move_that_costs_more_than_it_saves_is_not_made(planner):
    # 0.36 J a token at 450 USD/MWh less: 4.5e-8 USD.
    on = {"min_on": 1, "on_now": 1}
    pools = (pool_data("here", **on), pool_data("there", site=1, **on))
    assert rate(solved(planner, two_sites(pools=pools)), 0, 0) == pytest.approx(800.0)
    dear = solved(planner, two_sites(pools=pools, move_usd_per_token=((1e-7, 0.0),)))
    assert rate(dear, 1, 0) == pytest.approx(800.0)
    paid = solved(planner, two_sites(pools=pools, move_usd_per_token=((1e-8, 1e-8),)))
    assert paid.cost_usd - solved(planner, two_sites(pools=pools)).cost_usd == pytest.approx(800 * 180 * 1e-8)


def test_a_budget_over_the_horizon_is_spent_where_energy_is_dear(planner):
    # Half of 2,400 tokens/s may go to the lossy pool, which takes less energy: those of the dearest intervals.
    pools = (
        pool_data("full", min_on=1, max_on=1),
        pool_data("lean", min_on=1, max_on=1, quality_loss_frac=0.02),
    )
    window = class_data("standard", 800.0, quality_window=True)
    plan = solved(planner, problem(pools=pools, classes=(window,), price_usd_per_mwh=(1000.0, 500.0, 100.0)))
    assert plan.pools[1].output_tokens_per_s[0][1] == pytest.approx((800.0, 400.0, 0.0))
    assert plan.slack == ()
