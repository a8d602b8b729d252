from controller.settlement.trailing import Trailing


def taken(*measured):
    trailing = Trailing()
    return [trailing.take(*each) for each in measured]


def test_nothing_is_told_before_five_seconds_were_measured_and_then_the_mean_of_the_last_five():
    seconds = [(float(n), n + 1.0, 100.0 * n) for n in range(7)]
    assert taken(*seconds) == [None, None, None, None, 200.0, 300.0, 400.0]


def test_means_weigh_by_time():
    assert taken((0.0, 1.0, 100.0), (1.0, 5.0, 600.0)) == [None, 500.0]


def test_seconds_that_are_not_exact_are_five():
    for length_s in (0.98, 1.02):
        told = taken(*((n * length_s, (n + 1) * length_s, float(n)) for n in range(10)))
        assert [each is None for each in told] == [True] * 4 + [False] * 6
        assert told[-1] == 7.0


def test_of_a_longer_measurement_it_is_that_one_alone():
    assert taken((0.0, 10.0, 1.0), (10.0, 20.0, 2.0)) == [1.0, 2.0]
    assert taken((0.0, 2.0, 1.0), (2.0, 4.0, 2.0), (4.0, 6.0, 3.0), (6.0, 8.0, 4.0)) == [None, None, 2.0, 3.0]


def test_after_a_gap_it_begins_anew():
    before, after = [(float(n), n + 1.0, 9.0) for n in range(5)], [(20.0 + n, 21.0 + n, 1.0) for n in range(5)]
    assert taken(*before, *after) == [None] * 4 + [9.0] + [None] * 4 + [1.0]
