import pytest

from controller.evidence.series import Sample
from controller.report.power_line import MAX_POINTS, PowerLine


def line(samples, until_s=1000.0):
    made = PowerLine(0.0, until_s)
    for time_s, power_w in samples:
        made.take(Sample(time_s, power_w, "direct", None))
    return made.points()


def test_means_are_in_kw():
    assert line([(0.2, 1000.0), (0.9, 3000.0), (1.5, 5000.0)], 700.0) == ((0.0, 1.0), (2.0, 5.0))


def test_it_breaks_where_nothing_was_measured_and_where_nothing_was_recorded():
    times, powers = line([(0.0, 1000.0), (5.0, None), (10.0, 1000.0), (60.0, 1000.0)], 700.0)
    assert powers == (1.0, None, 1.0, None, 1.0)
    assert times[3] == 35.0


def test_it_breaks_not_where_looks_are_a_few_seconds_apart():
    assert None not in line([(5.0 * n, 1000.0) for n in range(100)], 700.0)[1]


@pytest.mark.parametrize("until_s", [1200.0, 4860.0, 5463.7, 12_345.6, 90_061.0])
def test_what_was_measured_each_second_is_one_line_over_any_length(until_s):
    start_s = 1_795_324_669.25
    made = PowerLine(start_s, start_s + until_s)
    for second in range(int(until_s)):
        made.take(Sample(start_s + second, 1000.0, "direct", None))
    times, powers = made.points()
    assert None not in powers
    assert len(times) > MAX_POINTS // 4


def test_it_breaks_where_longer_bins_have_no_sample():
    samples = [(6.0 * n, 1000.0) for n in range(800) if not 300 <= n < 310]
    assert line(samples, 4860.0)[1].count(None) == 1


def test_a_year_becomes_a_picture():
    times, powers = line([(600.0 * n, 1000.0) for n in range(52_560)], 365 * 86_400.0)
    assert len(times) <= MAX_POINTS
    assert set(powers) == {1.0}


def test_what_lies_outside_is_left_out():
    assert line([(-5.0, 1.0), (5000.0, 1.0)]) == ((), ())
