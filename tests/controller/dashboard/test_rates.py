import pytest

from controller.dashboard.rates import Rates
from tests.fakes.controller_parts import instance


def seen(bf16, int4):
    return (instance("bf16-0", generation_tokens=bf16), instance("int4-0", generation_tokens=int4))


def test_rates_shares_and_energy_per_token():
    rates = Rates(window_s=10.0)
    rates.take(0.0, seen(1000, 0), 0.0)
    window = rates.take(2.0, seen(1300, 100), 800.0)
    assert window.output_tokens_per_s == {"bf16": 150, "int4": 50}
    assert window.share_frac == {"bf16": 0.75, "int4": 0.25}
    assert window.j_per_output_token == pytest.approx(2.0)


def test_tokens_of_energy_that_is_not_told_yet_do_not_make_it_less():
    rates = Rates(window_s=10.0)
    told = [
        rates.take(float(second), seen(100 * second, 0), 400.0 * min(second, 5)).j_per_output_token
        for second in range(20)
    ]
    assert told[2:14] == [pytest.approx(4.0)] * 12
    assert told[16:] == [None] * 4


def test_the_window_forgets():
    rates = Rates(window_s=10.0)
    for second in range(0, 40, 2):
        window = rates.take(float(second), seen(1000 if second >= 4 else 0, second), 0.0)
    assert window.output_tokens_per_s == {"bf16": 0, "int4": 1}


def test_a_restarted_engine_counts_on():
    rates = Rates()
    rates.take(0.0, seen(1000, 0), 0.0)
    assert rates.take(1.0, seen(50, 0), 0.0).output_tokens_per_s["bf16"] == 50


def test_without_tokens_nothing_is_made_up():
    rates = Rates()
    first = rates.take(0.0, seen(1000, 0), 0.0)
    assert (first.output_tokens_per_s, first.share_frac, first.j_per_output_token) == ({}, {}, None)
    still = rates.take(5.0, seen(1000, 0), 900.0)
    assert still.output_tokens_per_s == {"bf16": 0, "int4": 0}
    assert (still.share_frac, still.j_per_output_token) == ({}, None)
