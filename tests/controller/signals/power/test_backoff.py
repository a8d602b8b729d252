from random import Random

from hypothesis import given
from hypothesis import strategies as st

from controller.signals.power.backoff import FIRST_S, LONGEST_S, backoff_s


@given(st.integers(0, 10_000), st.integers())
def test_waits_stay_between_half_and_all_of_their_length(failures, seed):
    assert 0.5 * FIRST_S <= backoff_s(failures, Random(seed)) <= LONGEST_S


def test_waits_grow_and_differ_between_controllers():
    assert backoff_s(1, Random(1)) < backoff_s(4, Random(1)) < backoff_s(9, Random(1))
    assert backoff_s(5, Random(1)) != backoff_s(5, Random(2))
