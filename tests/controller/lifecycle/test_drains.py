from controller.lifecycle.drains import COUNTS_S, MOST, Drains


def test_the_longest_of_the_last_hour_counts():
    drains = Drains().after(1000.0, (40.0,)).after(1500.0, ()).after(2000.0, (8.0, 12.0))
    assert drains.longest_s(2000.0) == 40.0
    assert drains.longest_s(1000.0 + COUNTS_S) == 12.0
    assert drains.longest_s(2000.0 + COUNTS_S) is None


def test_where_none_ended_nothing_is_known():
    assert Drains().longest_s(0.0) is None


def test_no_more_are_remembered_than_is_said():
    drains = Drains()
    for n in range(3 * MOST):
        drains = drains.after(float(n), (float(n),))
    assert len(drains.ended) == MOST
    assert drains.longest_s(0.0) == 3 * MOST - 1
