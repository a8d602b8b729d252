import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.observation import Quality
from controller.model.programme import Rates
from controller.settlement.delivered import Interval
from controller.settlement.performance import performance

QUARTER_S = 900.0
RATES = Rates(100.0, 1150.0)


def interval(delivered_kw, committed_kw=1000.0, number=0, quality=Quality.DIRECT):
    start_s = number * QUARTER_S
    delivered_w = None if delivered_kw is None else delivered_kw * 1e3
    missing = delivered_kw is None
    return Interval(
        start_s, start_s + QUARTER_S, None, delivered_w, False, None, committed_kw * 1e3, None, quality, 1.0, missing
    )


def test_factors_and_money_are_computed_by_hand():
    """1 MW over four quarters of an hour: 1.2, 0.8, 1.0 and 0.5 MW delivered.

    factor 3.5/4; capped (1 + 0.8 + 1 + 0.5)/4; paid 3.3 MW · 0.25 h · 100 USD; missing 0.7 MW · 0.25 h · 1,150 USD.
    """
    got = performance([interval(kw, number=n) for n, kw in enumerate((1200.0, 800.0, 1000.0, 500.0))], RATES)
    assert (got.factor, got.capped_factor, got.least_factor) == pytest.approx((0.875, 0.825, 0.5))
    assert (got.delivered_mwh, got.committed_mwh) == pytest.approx((0.875, 1.0))
    assert (got.revenue_usd, got.penalty_usd, got.net_usd) == pytest.approx((82.5, 201.25, -118.75))
    assert got.short == 2


def test_two_thirds_of_a_commitment_cost_what_the_contract_says():
    """PJM's fleet of summer 2025 delivered 67 %: of 1 MW over an hour 0.33 MWh are missing, at 1,150 USD 379.5 USD."""
    got = performance([interval(670.0, number=n) for n in range(4)], Rates(None, 1150.0))
    assert got.factor == pytest.approx(0.67)
    assert (got.revenue_usd, got.penalty_usd) == (None, pytest.approx(379.5))


def test_what_was_not_measured_is_neither_kept_nor_broken_and_is_told():
    got = performance([interval(1000.0), interval(None, number=1)], RATES)
    assert (got.factor, got.short, got.missing) == (1.0, 0, 1)
    assert got.penalty_usd == 0.0
    assert got.missing_committed_mwh == pytest.approx(0.25)
    assert dict(got.by_quality) == {"direct": 1, "estimated": 0, "emulated": 0, "missing": 1}


def test_a_draw_above_the_baseline_earns_nothing_and_is_short_of_all():
    got = performance([interval(-500.0)], RATES)
    assert got.revenue_usd == 0.0
    assert got.penalty_usd == pytest.approx(1.5 * 0.25 * 1150)
    assert got.factor == -0.5


def test_without_rates_or_commitment_nothing_is_made_up():
    got = performance([interval(5.0, 0.0)], Rates())
    assert (got.factor, got.revenue_usd, got.penalty_usd, got.net_usd) == (None, None, None, None)
    assert performance([], RATES).factor is None


KILOWATTS = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(KILOWATTS, st.floats(1.0, 1e6)), min_size=1, max_size=20))
def test_nobody_is_paid_for_more_than_was_sold_and_no_factor_hides_the_worst(pairs):
    got = performance([interval(kw, sold, n) for n, (kw, sold) in enumerate(pairs)], Rates(1.0, 1.0))
    assert got.revenue_usd <= got.committed_mwh * (1 + 1e-9)
    assert got.least_factor <= got.factor + 1e-6 * abs(got.factor)
    assert got.capped_factor <= min(1.0, got.factor) + 1e-9 * (1 + abs(got.factor))
    assert (got.short == 0) == (got.penalty_usd == 0.0)


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(1.0, 1e6)), min_size=1, max_size=20), st.floats(0.01, 100))
def test_money_scales_with_the_site_and_factors_do_not(pairs, scale):
    one = performance([interval(kw, sold, n) for n, (kw, sold) in enumerate(pairs)], RATES)
    other = performance([interval(kw * scale, sold * scale, n) for n, (kw, sold) in enumerate(pairs)], RATES)
    assert other.factor == pytest.approx(one.factor)
    assert other.penalty_usd == pytest.approx(one.penalty_usd * scale, abs=1e-6)
