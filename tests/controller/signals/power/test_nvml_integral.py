import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.signals.power.nvml_integral import MAX_GAP_S, PowerIntegral


def test_power_that_changes_steadily_is_integrated_exactly():
    integral = PowerIntegral()
    for n in range(11):
        energy_j = integral.take(100 + n / 10, 200.0 + 40.0 * n)
    assert energy_j == pytest.approx(400.0)


def test_what_was_drawn_in_a_long_gap_is_not_known():
    integral = PowerIntegral()
    integral.take(0.0, 500.0)
    assert integral.take(MAX_GAP_S + 0.1, 500.0) == 0.0
    assert integral.take(MAX_GAP_S + 1.1, 500.0) == pytest.approx(500.0)


def test_a_time_that_goes_back_adds_nothing():
    integral = PowerIntegral()
    integral.take(10.0, 500.0)
    assert integral.take(9.0, 500.0) == 0.0


@pytest.mark.parametrize("power_w", [-1.0, math.nan, math.inf])
def test_a_value_that_is_no_power_is_refused(power_w):
    with pytest.raises(ValueError, match="no power"):
        PowerIntegral().take(0.0, power_w)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 3000)), max_size=50))
def test_the_sum_only_grows_and_not_beyond_the_most_power(polls):
    integral, now_s, elapsed_s, last_j = PowerIntegral(), 0.0, 0.0, 0.0
    for step_s, power_w in polls:
        now_s, elapsed_s = now_s + step_s, elapsed_s + max(0.0, step_s)
        energy_j = integral.take(now_s, power_w)
        assert last_j <= energy_j <= 3000 * elapsed_s * (1 + 1e-9)
        last_j = energy_j
