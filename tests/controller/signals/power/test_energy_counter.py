import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.signals.power.energy_counter import (
    DEFAULT_BOUND_W,
    WRAP_32_J,
    WRAP_64_J,
    CounterEvent,
    CounterOptions,
    EnergyCounter,
    power_bound_w,
)

T = 1_000_000.0


def take_all(points, **options):
    counter = EnergyCounter(CounterOptions(**options))
    return [counter.take(T + at_s, energy_j) for at_s, energy_j in points]


def test_power_is_the_mean_over_two_seconds_not_the_last_step():
    readings = take_all([(0, 0), (1, 100), (2, 1000), (3, 1100)])
    assert [reading.power_w for reading in readings] == [None, None, 500, 500]
    assert [reading.energy_j for reading in readings] == [0, 100, 1000, 1100]


def test_a_counter_starts_from_its_own_value():
    assert take_all([(0, 123_456.0)])[0].energy_j == 123_456.0


@pytest.mark.parametrize("period_s", [0.1, 0.2, 1.0, 2.0, 5.0, 30.0, 60.0])
def test_any_refresh_period_up_to_the_longest_window_gives_the_true_power(period_s):
    readings = take_all([(n * period_s, n * period_s * 437.0) for n in range(80)])
    assert readings[-1].power_w == pytest.approx(437.0)
    assert all(reading.event is None for reading in readings)


def test_a_source_that_refreshes_too_seldom_has_energy_but_no_power():
    readings = take_all([(0, 0), (90, 45_000), (180, 90_000)])
    assert [reading.power_w for reading in readings] == [None, None, None]
    assert readings[-1].energy_j == 90_000


def test_a_counter_that_stands_still_is_told_as_an_old_reading():
    readings = take_all([(0, 0), (2, 1000), (4, 1000), (40, 1000)])
    assert [reading.moved_at_s - T for reading in readings] == [0, 2, 2, 2]
    assert readings[-1].power_w == 500


def test_a_driver_that_was_loaded_again_goes_on_growing_and_starts_a_new_window():
    readings = take_all([(0, 9000), (2, 10_000), (4, 200), (6, 1000)])
    assert [reading.energy_j for reading in readings] == [9000, 10_000, 10_200, 11_000]
    assert [reading.power_w for reading in readings] == [None, 500, None, 400]
    assert readings[2].event is CounterEvent.RESET


def test_a_fall_to_a_value_that_cannot_have_been_drawn_since_is_not_counted():
    readings = take_all([(0, 900_000), (2, 901_000), (4, 500_000), (6, 500_800)])
    assert readings[2].event is CounterEvent.JUMP
    assert readings[-1].energy_j == 901_800
    assert readings[-1].power_w == 400


@pytest.mark.parametrize("wrap_j", [WRAP_32_J, WRAP_64_J])
def test_a_counter_that_wraps_loses_nothing(wrap_j):
    start_j = wrap_j - 2048.0
    points = [(n, (start_j + 512.0 * n) % wrap_j) for n in range(8)]
    readings = take_all(points, wrap_j=wrap_j)
    assert [reading.event for reading in readings].count(CounterEvent.WRAP) == 1
    assert [reading.power_w for reading in readings[2:]] == pytest.approx([512.0] * 6, rel=0.01)
    assert readings[-1].energy_j - readings[0].energy_j == pytest.approx(512.0 * 7, abs=8)


def test_a_reset_far_from_the_largest_value_is_no_wrap():
    assert take_all([(0, 5000), (2, 100)], wrap_j=WRAP_32_J)[-1].event is CounterEvent.RESET


def test_one_wrong_value_costs_a_window_but_no_energy():
    points = [(0, 1000), (2, 2000), (4, 9e9), (6, 4000), (8, 5000)]
    readings = take_all(points)
    assert [reading.energy_j for reading in readings] == [1000, 2000, 2000, 4000, 5000]
    assert [reading.power_w for reading in readings] == [None, 500, None, None, 500]
    assert [reading.event for reading in readings] == [None, None, CounterEvent.JUMP, CounterEvent.JUMP, None]


def test_a_jump_that_stays_is_where_the_counter_goes_on_from():
    readings = take_all([(0, 1000), (2, 2000), (4, 9e9), (6, 9e9 + 800)])
    assert readings[-1].energy_j == 2800
    assert readings[-1].power_w == 400


def test_power_at_the_bound_is_a_fault_and_never_shown():
    # 1,199 W is within 1.2 times the limit of 1,000 W, 1,200 W is not.
    assert take_all([(0, 0), (2, 2398)], bound_w=power_bound_w(1000.0))[-1].power_w == 1199
    beyond = take_all([(0, 0), (2, 2400)], bound_w=power_bound_w(1000.0))[-1]
    assert (beyond.power_w, beyond.energy_j, beyond.event) == (None, 0, CounterEvent.JUMP)


def test_the_bound_comes_from_the_limit_where_that_is_known():
    assert power_bound_w(700.0) == pytest.approx(840.0)
    assert power_bound_w(None) == power_bound_w(0.0) == DEFAULT_BOUND_W


def test_a_clock_that_was_set_back_starts_a_new_window_and_keeps_the_energy():
    readings = take_all([(0, 0), (2, 1000), (-3598, 2000), (-3596, 3000)])
    assert readings[2].event is CounterEvent.CLOCK
    assert [reading.power_w for reading in readings] == [None, 500, None, 500]
    assert readings[-1].energy_j == 3000


def test_a_clock_set_back_over_a_reset_does_not_make_energy():
    readings = take_all([(0, 9e6), (-3598, 50), (-3596, 1050)])
    assert [reading.energy_j for reading in readings] == [9e6, 9e6, 9e6 + 1000]


def test_a_point_that_came_late_is_left_out():
    readings = take_all([(0, 0), (2, 1000), (1, 500), (4, 2000)])
    assert readings[2].event is CounterEvent.LATE
    assert readings[2].power_w == 500
    assert readings[3].power_w == 500


@pytest.mark.parametrize("energy_j", [math.nan, math.inf, -1.0])
def test_a_value_that_is_no_energy_is_refused(energy_j):
    with pytest.raises(ValueError, match="no point"):
        EnergyCounter().take(T, energy_j)


@pytest.mark.parametrize("options", [{"window_s": 0.0}, {"window_s": 61.0}, {"bound_w": 0.0}, {"bound_w": math.nan}])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        CounterOptions(**options)


def test_a_source_of_a_thousand_points_a_second_is_followed():
    counter = EnergyCounter()
    for n in range(5000):
        reading = counter.take(T + n / 1000, n * 0.5)
    assert reading.power_w == pytest.approx(500)
    assert len(counter._points) < 300


points = st.lists(
    st.tuples(
        st.floats(-20, 100),
        st.one_of(st.floats(0, 1e6), st.floats(0, 2 * WRAP_64_J), st.sampled_from([0.0, WRAP_32_J, WRAP_64_J])),
    ),
    min_size=1,
    max_size=30,
)


@given(points, st.sampled_from([WRAP_32_J, WRAP_64_J, None]))
def test_whatever_comes_energy_only_grows_and_power_stays_within_the_bound(steps, wrap_j):
    counter = EnergyCounter(CounterOptions(wrap_j=wrap_j))
    now_s, last_j = T, -1.0
    for gap_s, counter_j in steps:
        now_s += gap_s
        reading = counter.take(now_s, counter_j)
        assert reading.energy_j >= last_j
        assert reading.power_w is None or 0 <= reading.power_w < DEFAULT_BOUND_W
        assert math.isfinite(reading.energy_j)
        last_j = reading.energy_j


@given(
    st.lists(st.tuples(st.integers(1, 100).map(lambda n: n / 20), st.integers(0, 1000)), min_size=5, max_size=60),
    st.integers(0, 59),
    st.integers(0, 4_290_000),
)
def test_resets_and_wraps_do_not_change_what_is_counted(steps, reset_at, start_j):
    """Against the energy that was drawn, at any power, pace and place of a reset."""
    counter = EnergyCounter(CounterOptions(wrap_j=WRAP_32_J, bound_w=1200.0))
    now_s, raw_j, drawn_j = T, start_j, start_j
    counter.take(now_s, raw_j)
    history = [(now_s, drawn_j)]
    for n, (gap_s, power_w) in enumerate(steps):
        now_s, drawn_j = now_s + gap_s, drawn_j + gap_s * power_w
        if n == reset_at and gap_s * power_w < raw_j < WRAP_32_J - 1200.0 * 7:
            raw_j = 0.0
            history = []
        raw_j = (raw_j + gap_s * power_w) % WRAP_32_J
        reading = counter.take(now_s, raw_j)
        if not history or drawn_j > history[-1][1]:
            history.append((now_s, drawn_j))
        assert reading.energy_j == pytest.approx(drawn_j, rel=1e-9, abs=1e-3)
        if reading.power_w is not None:
            first_s, first_j = next(p for p in reversed(history) if history[-1][0] - p[0] >= 1.9)
            assert reading.power_w == pytest.approx(
                (history[-1][1] - first_j) / (history[-1][0] - first_s), rel=0.02, abs=0.5
            )
