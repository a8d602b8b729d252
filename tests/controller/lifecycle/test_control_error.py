"""What of the margin gives way as the draw is seen to follow what was set."""

from dataclasses import replace

import pytest

from controller.lifecycle.control_error import LEAST_S, MOST_LOOKS, WINDOW_S, ControlError, spared_frac
from controller.lifecycle.policy import TickPolicy

POLICY = TickPolicy(margin_frac=0.03, meter_error_frac=0.01)
HELD = {"is_held": True, "is_settled": True}


def looked(measured_w, seconds, error=None, from_s=0.0, **how):
    """What is known after a look every 5 s at a draw that was to be 1,000 W."""
    error = replace(error or ControlError(), set_w=1000.0)
    for n in range(int(seconds / 5.0) + 1):
        error = error.after(from_s + 5.0 * n, measured_w, **{**HELD, **how})
    return error


def test_a_draw_that_follows_leaves_the_meters_error_alone():
    assert spared_frac(POLICY, looked(1000.0, 120.0), 120.0) == pytest.approx(0.02)
    assert spared_frac(POLICY, looked(900.0, 120.0), 120.0) == pytest.approx(0.02)


@pytest.mark.parametrize(("measured_w", "spared"), [(1005.0, 0.015), (1020.0, 0.0), (1500.0, 0.0)])
def test_what_is_drawn_beyond_is_kept_free_and_no_more_than_without_evidence(measured_w, spared):
    assert spared_frac(POLICY, looked(measured_w, 120.0), 120.0) == pytest.approx(spared)


def test_one_excess_counts_for_ten_minutes():
    once = looked(1020.0, 0.0, looked(1000.0, 200.0), from_s=205.0)
    later = looked(1000.0, WINDOW_S - 10.0, once, from_s=210.0)
    assert spared_frac(POLICY, later, 205.0 + WINDOW_S - 5.0) == 0.0
    assert spared_frac(POLICY, looked(1000.0, 10.0, later, from_s=800.0), 810.0) == pytest.approx(0.02)


def test_nothing_gives_way_before_two_minutes_under_a_limit_nor_without_one():
    assert spared_frac(POLICY, looked(1000.0, LEAST_S - 5.0), LEAST_S - 5.0) == 0.0
    assert spared_frac(POLICY, looked(1000.0, 600.0, is_held=False), 600.0) == 0.0
    ended = looked(1000.0, 0.0, looked(1000.0, 600.0), from_s=605.0, is_held=False)
    assert spared_frac(POLICY, looked(1000.0, 60.0, ended, from_s=610.0), 670.0) == 0.0


@pytest.mark.parametrize("missing", [{"is_settled": False}, {}], ids=["instances move", "no meter"])
def test_what_cannot_be_held_against_what_was_set_is_no_evidence(missing):
    measured_w = 1000.0 if missing else None
    assert spared_frac(POLICY, looked(measured_w, 300.0, **missing), 300.0) == 0.0


def test_a_meter_with_all_of_the_margin_leaves_nothing_to_give():
    assert spared_frac(replace(POLICY, meter_error_frac=0.03), looked(1000.0, 300.0), 300.0) == 0.0
    assert spared_frac(replace(POLICY, margin_frac=0.0), looked(1000.0, 300.0), 300.0) == 0.0


def test_what_is_remembered_is_bounded():
    error = ControlError(1000.0)
    for n in range(3 * MOST_LOOKS):
        error = error.after(0.1 * n, 1000.0, **HELD)
    assert len(error.excesses) == MOST_LOOKS
