import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.backoff import backoff_s


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0.01, 60), st.floats(1, 100))
def test_waits_stay_between_half_of_the_first_and_all_of_the_longest(failures, draw, first_s, times):
    longest_s = first_s * times
    wait_s = backoff_s(failures, draw, first_s=first_s, longest_s=longest_s)
    assert 0.5 * first_s <= wait_s <= longest_s


def test_waits_double_up_to_their_bound():
    waits_s = [backoff_s(n, 1.0, first_s=0.5, longest_s=15.0) for n in (0, 1, 2, 3, 4, 5, 6, 7, 99)]
    assert waits_s == [0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_those_who_failed_together_come_back_apart():
    assert [backoff_s(5, draw, first_s=0.5, longest_s=15.0) for draw in (0.0, 0.5, 1.0)] == [4.0, 6.0, 8.0]


def test_a_first_wait_beyond_the_longest_is_the_longest():
    assert backoff_s(1, 1.0, first_s=60.0, longest_s=15.0) == pytest.approx(15.0)
