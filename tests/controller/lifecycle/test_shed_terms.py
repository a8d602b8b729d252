from dataclasses import replace

import pytest

from controller.lifecycle.shed_terms import HOLD_S, ClassTerms, account_of, terms_of
from controller.model.capability import QosCost
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.least_power import least_power_problem
from controller.settlement.quality_budget import QualityBurn, allowed_loss_frac
from tests.controller.lifecycle.test_capability import facts

TERMS = ClassTerms(
    budget_frac=0.01,
    plain_frac=0.01,
    spending_frac=0.02,
    granted_frac=0.15,
    saved=1000.0,
    planned_tokens_per_s=10.0,
    saving_frac=0.005,
    horizon_s=720.0,
)


def test_a_loss_within_the_budget_has_no_end():
    assert (TERMS.lasts_s(0.01, 0.01), TERMS.regained_s(0.01, 60.0)) == (None, 0.0)
    assert TERMS.lasts_s(0.01, 0.15) is None, "what is spent without need ends nothing"


@pytest.mark.parametrize("spent", [0.03, 0.05, 0.3])
def test_a_larger_loss_lasts_until_a_tick_would_not_grant_it_any_more(spent):
    needed, saved, time_s, dt_s = 0.03, TERMS.saved, 0.0, 0.5
    while (granted := TERMS.budget_frac + saved / (TERMS.planned_tokens_per_s * TERMS.horizon_s)) >= needed:
        saved -= (min(granted, spent) - TERMS.budget_frac) * TERMS.planned_tokens_per_s * dt_s
        time_s += dt_s
    assert TERMS.lasts_s(needed, spent) == pytest.approx(time_s, rel=0.01)


def test_what_is_not_granted_at_all_lasts_no_time():
    assert TERMS.lasts_s(0.2, 0.2) == 0.0


def test_what_is_spent_is_saved_again_at_the_pace_of_the_present():
    assert TERMS.regained_s(0.02, 100.0) == pytest.approx(200.0)
    assert replace(TERMS, saving_frac=0.0).regained_s(0.02, 100.0) is None


def test_the_larger_loss_lasts_as_long_as_is_to_be_held_and_not_much_longer():
    known = facts(60)
    burns = tuple(QualityBurn.empty(cls.class_id, 86_400.0).with_tokens(known.now_s, 1e7, 0.0) for cls in known.classes)
    for cls, terms in zip(known.classes, terms_of(known.classes, burns, known.data), strict=True):
        assert terms.spending_frac > terms.plain_frac == cls.quality_budget_frac
        assert HOLD_S <= terms.lasts_s(terms.spending_frac, terms.spending_frac) < HOLD_S + 1.0
        granted = allowed_loss_frac(
            burns[0], cls.quality_budget_frac, terms.planned_tokens_per_s * terms.horizon_s, spend_savings=True
        )
        assert terms.spending_frac < granted == terms.granted_frac


@pytest.mark.parametrize("burn", ["unknown", "spent"])
def test_nothing_is_spent_where_nothing_is_saved_or_known(burn):
    known = facts(60)
    empty = tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in known.classes)
    burns = {
        "unknown": tuple(QualityBurn.unknown(each.class_id, 86_400.0, known.now_s) for each in empty),
        "spent": tuple(each.with_tokens(known.now_s, 1e6, 1e6) for each in empty),
    }[burn]
    for terms in terms_of(known.classes, burns, known.data):
        assert terms.saved == 0.0
        assert terms.spending_frac == terms.plain_frac == terms.granted_frac == 0.0


def test_an_account_tells_what_is_held_and_that_a_budget_that_gives_way_ends_nothing():
    known = facts(60)
    least = least_power_problem(known.data, known.present, (1.0,) * 3)
    served = CvxpyPlanner(lambda: 0.0).plan(least, time_limit_s=5.0)
    terms = terms_of(known.classes, known.burns, known.data)
    beyond = tuple(1.25 * each for each in known.present)
    yields = account_of(terms, known.data, (served, served), beyond, QosCost.HELD)
    assert yields.duration_s is None
    assert yields.recovery_j > 0.0
    waits = account_of(terms, known.data, (served, served), beyond, QosCost.WAITING)
    assert waits.duration_s == 0.0, "who waits spends no more quality than was saved"
    kept = account_of(terms, known.data, (served, served), known.present, QosCost.QUALITY)
    assert kept.recovery_j == 0.0
