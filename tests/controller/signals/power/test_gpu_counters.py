import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.observation import Missing, Quality, Reading
from controller.signals.power.gpu_counters import GpuCounters, Shown, is_energy_mj, is_power_w

T = 1000.0


def test_points_that_were_taken_in_before_are_passed_over():
    counters = GpuCounters()
    minute = tuple((T + n, 500.0 * n) for n in range(60))
    assert counters.take("A", Shown(None, minute, T + 59), "x").value_w == pytest.approx(500)
    again = counters.take("A", Shown(None, minute, T + 59), "x")
    assert (again.value_w, again.energy_j, again.observed_at_s) == (pytest.approx(500), 29_500.0, T + 59)
    later = counters.take("A", Shown(None, (*minute[2:], (T + 61, 31_500.0)), T + 61), "x")
    assert (later.value_w, later.energy_j) == (pytest.approx(1000), 31_500.0)


def test_a_counter_that_stands_still_is_old_unless_the_gpu_is_off():
    counters = GpuCounters()
    for at_s, energy_j in ((T, 0.0), (T + 2, 800.0)):
        counters.take("A", Shown(400.0, ((at_s, energy_j),), at_s), "x")
    assert counters.take("A", Shown(400.0, ((T + 9, 800.0),), T + 9), "x").observed_at_s == T + 2
    off = counters.take("A", Shown(0.0, ((T + 10, 800.0),), T + 10), "x")
    assert (off.value_w, off.observed_at_s) == (0.0, T + 10)


def test_a_clock_that_was_set_back_does_not_freeze_the_readings():
    counters = GpuCounters()
    for at_s, energy_j in ((T, 0.0), (T + 2, 800.0), (T - 3600, 1600.0), (T - 3598, 2400.0)):
        reading = counters.take("A", Shown(None, ((at_s, energy_j),), at_s), "x")
    assert (reading.value_w, reading.observed_at_s) == (pytest.approx(400), T - 3598)


def test_nothing_shown_is_missing_and_emulated_is_told():
    assert "neither power nor energy" in GpuCounters().take("A", Shown(None, (), T), "x").reason
    assert GpuCounters().take("A", Shown(1.0, (), T, True), "x").quality is Quality.EMULATED


def test_a_gpu_that_went_and_came_back_begins_anew():
    counters = GpuCounters()
    counters.take("A", Shown(None, ((T, 0.0),), T), "x")
    counters.keep_only(())
    assert isinstance(counters.take("A", Shown(None, ((T + 5, 5000.0),), T + 5), "x"), Missing)


@given(st.lists(st.floats(0, 1400), min_size=2, max_size=60))
def test_energy_only_grows_and_power_stays_within_what_was_drawn(draws_w):
    counters, energy_j, last_j = GpuCounters(), 0.0, 0.0
    for n, power_w in enumerate(draws_w):
        energy_j += power_w
        reading = counters.take("A", Shown(None, ((T + n, energy_j),), T + n), "x")
        if isinstance(reading, Reading):
            assert reading.energy_j >= last_j
            assert reading.value_w <= max(draws_w) + 1e-6
            last_j = reading.energy_j


@pytest.mark.parametrize("blank", [float("nan"), float("inf"), -1.0, 9223372036854775794.0, 140737488355328.0])
def test_blanks_are_no_values(blank):
    assert not is_power_w(blank)
    assert not is_energy_mj(blank)
