from dataclasses import replace

import pytest

from controller.lifecycle.shed_terms import HOLD_S, ClassTerms, terms_of
from controller.settlement.quality_budget import QualityBurn, allowed_loss_frac
from tests.controller.lifecycle.test_capability import facts

TERMS = ClassTerms(
    budget_frac=0.01,
    plain_frac=0.01,
    spending_frac=0.02,
    saved=1000.0,
    planned_tokens_per_s=10.0,
    saving_frac=0.005,
    horizon_s=720.0,
)


def test_a_loss_within_the_budget_has_no_end():
    assert (TERMS.lasts_s(0.01), TERMS.regained_s(0.01, 60.0)) == (None, 0.0)


def test_a_larger_loss_lasts_until_a_tick_would_not_grant_it_any_more():
    loss, saved, time_s, dt_s = 0.03, TERMS.saved, 0.0, 0.5
    while TERMS.budget_frac + saved / (TERMS.planned_tokens_per_s * TERMS.horizon_s) >= loss:
        saved -= (loss - TERMS.budget_frac) * TERMS.planned_tokens_per_s * dt_s
        time_s += dt_s
    assert TERMS.lasts_s(loss) == pytest.approx(time_s, abs=1.0)


def test_what_is_spent_is_saved_again_at_the_pace_of_the_present():
    assert TERMS.regained_s(0.02, 100.0) == pytest.approx(200.0)
    assert replace(TERMS, saving_frac=0.0).regained_s(0.02, 100.0) is None


def test_the_larger_loss_lasts_as_long_as_is_to_be_held_and_not_much_longer():
    known = facts(60)
    burns = tuple(QualityBurn.empty(cls.class_id, 86_400.0).with_tokens(known.now_s, 1e7, 0.0) for cls in known.classes)
    for cls, terms in zip(known.classes, terms_of(known.classes, burns, known.data), strict=True):
        assert terms.spending_frac > terms.plain_frac == cls.quality_budget_frac
        assert HOLD_S <= terms.lasts_s(terms.spending_frac) < HOLD_S + 1.0
        granted = allowed_loss_frac(
            burns[0], cls.quality_budget_frac, terms.planned_tokens_per_s * terms.horizon_s, spend_savings=True
        )
        assert terms.spending_frac < granted


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
        assert terms.spending_frac == terms.plain_frac == 0.0
