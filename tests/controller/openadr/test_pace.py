from hypothesis import given
from hypothesis import strategies as st

from controller.openadr.pace import MAX_BACK_OFF_S, wait_s


def test_polls_that_succeed_are_spread_around_their_interval():
    assert [wait_s(30.0, 0, draw) for draw in (0.0, 0.5, 1.0)] == [27.0, 30.0, 33.0]


def test_failures_are_waited_out_longer_and_longer_up_to_a_bound():
    assert [wait_s(30.0, n, 1.0) for n in (1, 2, 3, 4, 5, 99)] == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]
    assert wait_s(900.0, 7, 1.0) == 900.0


def test_a_server_that_wants_to_be_left_alone_is():
    assert wait_s(30.0, 1, 0.0, retry_after_s=120.0) == 120.0


@given(st.floats(1, 3600), st.integers(0, 10**6), st.floats(0, 1))
def test_the_wait_is_never_endless_and_never_nothing(poll_s, failures, draw):
    assert 0.4 * poll_s < wait_s(poll_s, failures, draw) <= max(1.1 * poll_s, MAX_BACK_OFF_S)
