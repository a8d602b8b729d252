import pytest

from controller.grid.draw_history import MAX_SLOTS, DrawHistory


def history(values):
    out = DrawHistory()
    for at_s, power_w in values:
        out.take(at_s, power_w)
    return out


def test_the_present_draw_is_the_mean_of_ten_seconds_and_no_old_one():
    seen = history([(80.0, 900.0), (91.0, 900.0), (100.0, 5.0), (101.0, 7.0)])
    assert (seen.at(101.0), seen.at(160.0), seen.at(162.0), seen.at(50.0)) == (6.0, 6.0, None, None)


def test_a_draw_that_goes_up_and_down_is_no_matter_of_the_second_at_which_it_is_asked_for():
    seen = DrawHistory()
    for n in range(60):
        seen.take(100.0 + n, 900.0 if n % 2 else 300.0)
        if n > 20:
            assert seen.at(100.0 + n) == pytest.approx(600.0)


def test_it_moves_with_a_clock_that_was_set():
    seen = history([(1000.0 + n, float(n)) for n in range(40)])
    seen.shift(-600.0)
    assert (seen.at(1039.0 - 600.0), seen.at(1015.0 - 600.0)) == (pytest.approx(34.5), pytest.approx(14.5))
    assert seen.mean_w(400.0, 440.0) == pytest.approx(19.5)
    seen.take(450.0, 7.0)
    assert seen.at(450.0) == 7.0


def test_the_draw_of_a_time_that_has_gone_is_the_mean_around_it():
    seen = history([(100.0 + n, float(n)) for n in range(40)])
    assert seen.at(115.0) == pytest.approx(14.5)
    assert DrawHistory().at(0.0) is None


def test_a_mean_needs_half_of_its_window():
    seen = history([(1000.0 + n, 10.0 if n < 50 else 20.0) for n in range(100)])
    assert seen.mean_w(1000.0, 1100.0) == pytest.approx(15.0)
    assert seen.mean_w(900.0, 1100.0) == pytest.approx(15.0)
    assert seen.mean_w(800.0, 1100.0) is None


def test_each_ten_seconds_weigh_the_same_however_often_they_were_read():
    seen = history([(0.0, 10.0), *((10.0 + n, 20.0) for n in range(10))])
    assert seen.mean_w(0.0, 20.0) == pytest.approx(15.0)


def test_readings_out_of_order_are_left_out_and_the_past_is_bounded():
    seen = history([(100.0, 5.0), (90.0, 999.0), (100.0, 999.0)])
    assert seen.at(100.0) == 5.0
    for n in range(2 * MAX_SLOTS):
        seen.take(1000.0 + 10 * n, 1.0)
    assert len(seen._slots) == MAX_SLOTS
