import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.observation import Quality, Reading
from controller.signals.power.energy_splice import EnergySplice


def at(at_s: float, energy_j: float | None, source: str = "a", value_w: float = 100.0) -> Reading:
    return Reading(value_w, energy_j, at_s, source, Quality.DIRECT)


def test_one_source_is_passed_through():
    splice = EnergySplice()
    assert [splice.take("g", at(n, 500.0 + 100 * n)).energy_j for n in range(3)] == [500.0, 600.0, 700.0]
    assert splice.take("g", at(3, None)).energy_j is None


def test_a_change_of_source_is_bridged_with_mean_power():
    splice = EnergySplice()
    splice.take("g", at(0, 1000.0))
    assert splice.take("g", at(2, 9e9, "b", 200.0)).energy_j == pytest.approx(1000 + 2 * 150)
    assert splice.take("g", at(3, 9e9 + 200, "b")).energy_j == pytest.approx(1500)
    assert splice.take("g", at(4, 1600.0, "a")).energy_j == pytest.approx(1600)


def test_a_long_gap_is_left_out_and_an_earlier_reading_adds_nothing():
    splice = EnergySplice()
    splice.take("g", at(100, 1000.0))
    assert splice.take("g", at(99.5, 7.0, "b")).energy_j == 1000.0
    assert splice.take("g", at(900, 0.0, "c")).energy_j == 1000.0


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1e6), st.sampled_from("abc")), min_size=1, max_size=40))
def test_energy_never_goes_back(steps):
    splice, now_s, last_j = EnergySplice(), 0.0, 0.0
    for dt_s, energy_j, source in steps:
        now_s += dt_s
        taken_j = splice.take("g", at(now_s, energy_j, source)).energy_j
        assert taken_j >= last_j - 1e-6 * max(1.0, last_j)
        last_j = taken_j
