import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.settlement.quality_budget import BUCKETS, QualityBurn, allowed_loss_frac
from router.contract import ClassId

FRESH = QualityBurn.empty(ClassId("standard"), 4800.0)


def test_nothing_served_has_burnt_nothing():
    assert FRESH.burnt_frac == 0.0


def test_the_mean_is_weighted_by_tokens():
    burn = FRESH.with_tokens(0.0, 100.0, 0.0).with_tokens(10.0, 300.0, 6.0)
    assert burn.burnt_frac == pytest.approx(0.015)
    assert len(burn.slots) == 1


def test_what_left_the_window_is_forgotten_and_the_record_is_bounded():
    burn = FRESH
    for tick in range(3000):
        burn = burn.with_tokens(tick * 10.0, 1.0, 0.02 if tick < 100 else 0.0)
    assert burn.burnt_frac == 0.0
    assert len(burn.slots) <= BUCKETS


def test_without_history_the_plain_budget_holds():
    assert allowed_loss_frac(FRESH, 0.01, 1000.0, spend_savings=True) == pytest.approx(0.01)
    assert allowed_loss_frac(FRESH, 0.01, 0.0, spend_savings=True) == 0.01


def test_what_was_burnt_tightens_what_is_left():
    burn = FRESH.with_tokens(0.0, 1000.0, 15.0)  # 0.015 of a budget of 0.01
    assert allowed_loss_frac(burn, 0.01, 1000.0, spend_savings=False) == pytest.approx(0.005)
    assert allowed_loss_frac(burn, 0.01, 100.0, spend_savings=True) == 0.0


def test_savings_are_kept_for_events():
    burn = FRESH.with_tokens(0.0, 1000.0, 0.0)
    assert allowed_loss_frac(burn, 0.01, 1000.0, spend_savings=False) == pytest.approx(0.01)
    assert allowed_loss_frac(burn, 0.01, 1000.0, spend_savings=True) == pytest.approx(0.02)
    assert allowed_loss_frac(burn, 0.9, 10.0, spend_savings=True) == 1.0


@pytest.mark.parametrize("coming", [10.0, 1e3, 1e6])
def test_spending_all_that_is_allowed_keeps_the_window_within_the_budget(coming):
    burn = FRESH.with_tokens(0.0, 1000.0, 4.0)
    allowed = allowed_loss_frac(burn, 0.01, coming, spend_savings=True)
    assert burn.with_tokens(1.0, coming, coming * allowed).burnt_frac <= 0.01 + 1e-12


def test_the_share_left_of_a_budget_is_told_and_may_be_overdrawn():
    assert FRESH.left_frac(0.01) is None
    served = FRESH.with_tokens(0.0, 1000.0, 4.0)
    assert served.left_frac(0.01) == pytest.approx(0.6)
    assert served.left_frac(0.002) == pytest.approx(-1.0)
    assert served.left_frac(0.0) is None


def test_only_what_is_still_in_a_later_window_counts_in_it():
    burn = FRESH.with_tokens(0.0, 100.0, 1.0).with_tokens(4000.0, 50.0, 0.0)
    assert burn.within(4000.0) == burn
    assert (burn.within(4900.0).tokens, burn.within(4900.0).loss_tokens) == (50.0, 0.0)
    assert burn.within(20_000.0).slots == ()


def test_a_clock_that_is_set_back_forgets_nothing_before_a_window_has_passed():
    burn = FRESH.with_tokens(10_000.0, 100.0, 5.0).with_tokens(10_200.0, 50.0, 0.0)
    back = burn.with_tokens(3000.0, 10.0, 0.0)
    assert (back.tokens, back.loss_tokens) == (160.0, 5.0)
    assert back.with_tokens(3000.0 + 4800.0 - 101.0, 0.0, 0.0).loss_tokens == 5.0
    assert back.with_tokens(3000.0 + 4800.0 + 100.0, 0.0, 0.0).loss_tokens == 0.0


def test_an_unknown_burn_leaves_a_class_nothing_until_a_window_has_passed():
    burn = QualityBurn.unknown(ClassId("standard"), 4800.0, 1000.0).with_tokens(1010.0, 100.0, 0.0)
    assert allowed_loss_frac(burn, 0.01, 100.0, spend_savings=True) == 0.0
    assert allowed_loss_frac(burn, 0.01, 0.0, spend_savings=False) == 0.0
    assert burn.left_frac(0.01) is None
    assert not burn.within(1300.0).is_known
    known = burn.with_tokens(5800.0, 100.0, 0.0)
    assert allowed_loss_frac(known, 0.01, 100.0, spend_savings=False) == 0.01
    assert known.left_frac(0.01) == 1.0


def test_an_unknown_burn_does_not_bind_a_class_without_a_budget():
    burn = QualityBurn.unknown(ClassId("standard"), 4800.0, 0.0)
    assert allowed_loss_frac(burn, 1.0, 100.0, spend_savings=False) == 1.0


def test_an_unknown_burn_ends_a_window_after_a_clock_was_set_back():
    burn = QualityBurn.unknown(ClassId("standard"), 4800.0, 1e9).with_tokens(100.0, 0.0, 0.0)
    assert burn.unknown_until_s == 4900.0


@given(
    st.lists(st.tuples(st.floats(0, 2e4), st.floats(0, 1e6), st.floats(0, 1)), max_size=30),
    st.floats(48.0, 1e5),
)
def test_another_window_counts_the_same_tokens_and_none_earlier(served, window_s):
    burn = FRESH
    for time_s, tokens, loss_frac in sorted(served):
        burn = burn.with_tokens(time_s, tokens, tokens * loss_frac)
    moved = burn.over(window_s)
    assert moved.window_s == window_s
    assert moved.tokens == pytest.approx(burn.tokens)
    assert moved.loss_tokens == pytest.approx(burn.loss_tokens)
    ends_s = [(slot + 1) * window_s / BUCKETS for slot, _, _ in moved.slots]
    if burn.slots:
        assert min(ends_s) >= (burn.slots[0][0] + 1) * 100.0 * (1 - 1e-12)
        assert len(moved.slots) <= len(burn.slots)
