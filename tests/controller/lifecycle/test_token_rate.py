import pytest

from controller.energy.attribution import IdlePolicy, Interval, Signals, Tokens, attribute
from controller.lifecycle.token_rate import REST_S, TokenRate
from tests.fakes.controller_parts import curves


def result(energy_j, prefill, decode, seconds=1.0):
    tokens = Tokens(prefill, decode)
    told = (("a", tokens),) if tokens else ()
    one = Interval("bf16-0", "bf16", curves(), seconds, energy_j, 8.0, tokens, told, 0, bool(tokens))
    return attribute((one,), {}, IdlePolicy.SHARED, Signals(None, None))[0]


def test_the_first_interval_costs_what_it_drew():
    rate = TokenRate().take(result(2000.0, 100, 50))
    assert 100 * rate.prefill_j + 50 * rate.decode_j == pytest.approx(2000.0)


def test_an_interval_without_tokens_leaves_the_rate_for_a_while():
    course = TokenRate()
    before = course.take(result(2000.0, 0, 50))
    assert course.take(result(900.0, 0, 0)) == before
    for _ in range(int(REST_S)):
        last = course.take(result(900.0, 0, 0))
    assert last is None
    assert course.take(result(2000.0, 0, 50)) is not None


def test_a_change_is_told_at_once():
    course = TokenRate()
    course.take(result(2000.0, 0, 100))
    assert course.take(result(2000.0, 0, 400)).decode_j == pytest.approx(5.0)
