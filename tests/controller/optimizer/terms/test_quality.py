import pytest

from controller.optimizer.terms.quality import quality_budget, quality_cost, quality_window
from tests.fakes.problems import class_data, pool_data, problem, steady
from tests.fakes.terms import Desk, golden, planned

DATA = problem()  # lean loses 0.02, the budget is 0.01


def test_the_mean_loss_stays_within_the_budget():
    assert Desk(DATA, tokens=[[400.0] * 3, [400.0] * 3]).violation(quality_budget) == pytest.approx(0.0, abs=1e-9)
    over = Desk(DATA, tokens=[[300.0] * 3, [500.0] * 3])
    assert over.violation(quality_budget) == pytest.approx(500 * 0.01 - 300 * 0.01)
    assert over.is_dpp(quality_budget)


def test_what_is_over_must_be_told_and_costs():
    desk = Desk(DATA, tokens=[[300.0] * 3, [500.0] * 3], over_quality=2.0)
    assert desk.violation(quality_budget) == pytest.approx(0.0, abs=1e-9)
    assert desk.cost(quality_cost) == pytest.approx(2.0 * 180 * 0.01 * 1e6)


def test_lost_quality_costs_within_the_budget_too():
    priced = problem(classes=(class_data("standard", 800.0, quality_usd_per_mtoken=5.0),))
    desk = Desk(priced, tokens=[[400.0] * 3, [400.0] * 3])
    assert desk.cost(quality_cost) == pytest.approx(5e-6 * 0.02 * 400 * 180 * 1e6)
    assert desk.is_dpp_cost(quality_cost)


def test_each_class_loses_what_it_says_where_the_problem_tells_it_by_class():
    both = problem(
        classes=(class_data("chat", 800.0, quality_usd_per_mtoken=5.0), class_data("code", 800.0)),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
        quality_loss_frac=((0.0, 0.002), (0.0, 0.05)),
    )
    desk = Desk(both, tokens=[[400.0] * 3] * 4)
    assert desk.violation(quality_budget) == pytest.approx(400 * 0.05 - 800 * 0.01)
    assert desk.cost(quality_cost) == pytest.approx(5e-6 * 0.002 * 400 * 180 * 1e6)
    assert desk.is_dpp(quality_budget)
    within = Desk(both, tokens=[[100.0] * 3, [700.0] * 3, [640.0] * 3, [160.0] * 3])
    assert within.violation(quality_budget) == pytest.approx(0.0, abs=1e-9)


TOGETHER = class_data("standard", 800.0, quality_window=True)


def test_a_budget_over_the_horizon_may_be_spent_at_once():
    window = problem(classes=(TOGETHER,))
    at_once = [[0.0, 400.0, 800.0], [800.0, 400.0, 0.0]]
    assert Desk(window, tokens=at_once).violation(quality_window) == pytest.approx(0.0, abs=1e-9)
    assert Desk(window, tokens=at_once).violation(quality_budget) == 0.0
    over = Desk(window, tokens=[[0.0, 400.0, 700.0], [800.0, 400.0, 100.0]])
    assert over.violation(quality_window) == pytest.approx(200 * 0.02 / 2)
    assert over.is_dpp(quality_window)
    assert Desk(DATA, tokens=at_once).violation(quality_window) == 0.0


def test_classes_may_differ_in_how_their_budget_holds():
    both = problem(
        classes=(TOGETHER, class_data("strict", 800.0)),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
    )
    lossy_first = [[0.0, 400.0, 800.0], [800.0, 400.0, 0.0]]
    desk = Desk(both, tokens=lossy_first * 2)
    assert desk.violation(quality_window) == pytest.approx(0.0, abs=1e-9)
    assert desk.violation(quality_budget) == pytest.approx(8.0)
    assert desk.is_dpp(quality_budget)


def two_pools(**changes):
    """One instance each that stays on; the lossy one takes 0.12 J less a token at the meter. 800 tokens/s."""
    alone = {"instances": 1, "sleeping_now": 0, "min_on": 1, "max_on": 1}
    return steady(
        pools=(pool_data("full", **alone), pool_data("lean", quality_loss_frac=0.02, **alone)),
        classes=(class_data("standard", 800.0, **changes.pop("promise", {})),),
        allowed=((True, True),),
        busy_s_per_token=((1e-3, 1e-3),),
        j_per_token=((0.3, 0.2),),
        **changes,
    )


def on_lean(plan):
    assert plan.slack == ()
    return plan.pools[1].output_tokens_per_s[0][1]


@golden(quality_budget)
def test_half_of_the_tokens_may_lose_twice_the_budget():
    assert on_lean(planned(two_pools())) == pytest.approx((400.0,) * 3)


@golden(quality_window)
def test_a_budget_over_the_horizon_is_spent_where_energy_is_dearest():
    # 1,200 of 2,400 may lose 0.02: all of the dearest hour's, half of the next one's.
    dear = two_pools(promise={"quality_window": True}, price_usd_per_mwh=(50.0, 100.0, 20.0))
    assert on_lean(planned(dear)) == pytest.approx((400.0, 800.0, 0.0), abs=1e-6)


@golden(quality_cost)
def test_quality_worth_more_than_energy_is_not_lost():
    # A token on the lossy pool saves 0.12 J, 1.7e-9 USD, and loses 1e-7 USD of quality.
    assert on_lean(planned(two_pools(promise={"quality_usd_per_mtoken": 5.0}))) == (0.0,) * 3
