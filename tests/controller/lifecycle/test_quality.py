from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.lifecycle.quality import budgets, granted
from controller.model.fleet import RequestClass
from controller.model.plan import Horizon, Plan, PlanOrigin, PoolPlan, Slack
from controller.settlement.quality_budget import QualityBurn
from router.contract import ClassId
from tests.fakes.problems import class_data, pool_data, problem

HOUR = Horizon(36_000.0, 300.0, 12)
CLS = RequestClass(ClassId("standard"), quality_budget_frac=0.01, quality_window_s=36_000.0)
FRESH = QualityBurn.empty(CLS.class_id, CLS.quality_window_s)
RATE = (100.0,) * 12


def test_the_plain_budget_holds_where_nothing_was_saved_or_burnt():
    assert budgets(CLS, FRESH, RATE, HOUR, (False,) * 12) == pytest.approx((0.01,) * 12)


def test_savings_are_spent_under_a_limit_only_and_what_was_burnt_tightens_all():
    saved = FRESH.with_tokens(30_000.0, 1e6, 0.0)
    spent = budgets(CLS, saved, RATE, HOUR, (False,) * 6 + (True,) * 6)
    assert spent[0] == pytest.approx(0.01)
    assert spent[6] == pytest.approx(0.01 * (1e6 + 360_000.0) / 360_000.0)
    burnt = FRESH.with_tokens(30_000.0, 1e5, 3000.0)
    left = (0.01 * (1e5 + 360_000.0) - 3000.0) / 360_000.0
    assert budgets(CLS, burnt, RATE, HOUR, (True, *(False,) * 11)) == pytest.approx((left,) * 12)
    assert 0 < left < 0.01


@given(st.lists(st.tuples(st.floats(0, 36_000), st.floats(0, 1e6), st.floats(0, 0.05)), max_size=20))
def test_spending_all_of_it_keeps_the_window_that_ends_with_the_horizon(served):
    burn = FRESH
    for at_s, tokens, loss in sorted(served):
        burn = burn.with_tokens(at_s, tokens, loss * tokens)
    allowed = budgets(CLS, burn, RATE, HOUR, (True,) * 12)[0]
    end_s = HOUR.start_of(HOUR.steps)
    after = burn.with_tokens(end_s, 360_000.0, 360_000.0 * allowed)
    assert after.burnt_frac <= 0.01 + 1e-9 or allowed == 0.0


def test_savings_that_leave_the_window_before_the_horizons_end_are_no_savings():
    old = FRESH.with_tokens(1_000.0, 1e6, 0.0)
    assert budgets(CLS, old, RATE, HOUR, (True,) * 12) == pytest.approx((0.01,) * 12)


OVERDRAWN = class_data("standard", 1000.0, quality_window=True, quality_budget_frac=(0.004,) * 3)
DATA = problem(classes=(OVERDRAWN,), pools=(pool_data("full"), pool_data("lean", quality_loss_frac=0.012)))
RATES = (((0.0, 500.0, 1000.0), (1000.0, 500.0, 0.0)),)
PLAN = Plan(
    DATA.horizon,
    PlanOrigin.MILP,
    (),
    tuple(
        PoolPlan(pool.pool_id, (1,) * 3, (0,) * 3, ((OVERDRAWN.class_id, rates),))
        for pool, rates in zip(DATA.pools, RATES[0], strict=True)
    ),
    0.0,
)


def test_the_dispatch_may_lose_what_the_plan_loses_in_its_interval():
    assert granted(DATA, PLAN, 0).classes[0].quality_budget_frac == pytest.approx((0.012, 0.004, 0.004))
    assert granted(DATA, PLAN, 1).classes[0].quality_budget_frac[0] == pytest.approx(0.006)
    assert granted(DATA, PLAN, 2).classes[0].quality_budget_frac[0] == 0.004


@pytest.mark.parametrize(
    "plan",
    [
        None,
        replace(PLAN, origin=PlanOrigin.GREEDY),
        replace(PLAN, pools=PLAN.pools[:1]),
        replace(PLAN, slack=(Slack("quality", "standard", 1.0, "loss·tokens/s"),)),
    ],
)
def test_no_other_plan_grants_anything(plan):
    assert granted(DATA, plan, 0) == DATA


def test_a_class_whose_budget_holds_in_each_interval_is_granted_nothing():
    plain = replace(DATA, classes=(replace(OVERDRAWN, quality_window=False),))
    assert granted(plain, PLAN, 0) == plain


def test_an_interval_in_which_nothing_is_served_grants_nothing():
    idle = tuple(replace(p, output_tokens_per_s=((OVERDRAWN.class_id, (0.0,) * 3),)) for p in PLAN.pools)
    assert granted(DATA, replace(PLAN, pools=idle), 0) == DATA
