from controller.model.plan import Horizon
from controller.optimizer.decision_steps import decision_steps
from tests.fakes.problems import class_data, pool_data, problem, response_data

STEPS = 12


def long_problem(**changes):
    flat = {
        "horizon": Horizon(0.0, 60.0, STEPS),
        "pools": tuple(pool_data(name, locked=(0,) * STEPS, late=(0.0,) * STEPS) for name in ("full", "lean")),
        "classes": (cls(),),
        "limit_w": (None,) * STEPS,
        "price_usd_per_mwh": (50.0,) * STEPS,
        "carbon_kg_per_mwh": (400.0,) * STEPS,
    }
    return problem(**{**flat, **changes})


def cls(demand=(800.0,) * STEPS, budget=(0.01,) * STEPS):
    return class_data("standard", 0.0, demand_tokens_per_s=demand, quality_budget_frac=budget)


def chosen(data):
    return [t for t, may in enumerate(decision_steps(data)) if may]


def test_where_nothing_changes_only_the_present_is_decided():
    assert chosen(long_problem()) == [0, 1]


def test_a_limit_is_decided_at_its_edges_and_early_enough_to_wake_or_start():
    limit = (None,) * 5 + (4000.0,) * 3 + (None,) * 4
    # wake 6 s: one interval before; start 90 s: two before
    assert chosen(long_problem(limit_w=limit)) == [0, 1, 3, 4, 5, 6, 7, 8]


def test_a_notable_change_is_decided_and_drift_every_fourth_interval():
    jump = long_problem(price_usd_per_mwh=(50.0,) * 6 + (90.0,) * 6)
    assert chosen(jump) == [0, 1, 4, 6, 8]
    drift = long_problem(classes=(cls(demand=tuple(800.0 + t for t in range(STEPS))),))
    assert chosen(drift) == [0, 1, 4, 8]


def test_bounds_and_budgets_are_decided_when_they_change():
    locked = tuple(pool_data(name, locked=(1,) * 3 + (0,) * 9, late=(0.0,) * STEPS) for name in ("full", "lean"))
    assert chosen(long_problem(pools=locked)) == [0, 1, 3]
    assert chosen(long_problem(classes=(cls(budget=(0.01,) * 7 + (0.02,) * 5),))) == [0, 1, 7]


def test_an_event_that_pays_is_decided_like_a_limit():
    paid = response_data(
        baseline_w=(5000.0,) * STEPS,
        reward_usd_per_mwh=(100.0,) * STEPS,
        most_w=(0.0,) * 5 + (900.0,) * 3 + (0.0,) * 4,
    )
    assert chosen(long_problem(response=paid)) == [0, 1, 3, 4, 5, 6, 7, 8]
