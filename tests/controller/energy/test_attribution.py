import dataclasses
import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.energy.attribution import (
    LEAK_S,
    IdlePolicy,
    Interval,
    Signals,
    Stock,
    Tokens,
    attribute,
)
from controller.energy.joule_share import NOTHING, Share, summed
from tests.fakes.controller_parts import curves

PRICED = Signals(usd_per_j=1e-7, kg_per_j=1e-8)
CURVES = curves()


def interval(energy_j=2000.0, told=(), **more):
    chosen = {
        "instance_id": "bf16-0",
        "pool_id": "bf16",
        "curves": CURVES,
        "duration_s": 1.0,
        "energy_j": energy_j,
        "batch": 8.0,
        "engine": summed_tokens(told),
        "told": tuple(told),
        "silent": 0,
        "is_running": bool(told),
    }
    return Interval(**{**chosen, **more})


def summed_tokens(told):
    return Tokens(sum(t.prefill for _, t in told), sum(t.decode for _, t in told))


def settle(*intervals, stocks=None, policy=IdlePolicy.SHARED, signals=PRICED):
    return attribute(tuple(intervals), stocks or {}, policy, signals)


def total_j(results):
    return math.fsum(
        summed(each.shares.values()).energy_j
        + each.stock.share.energy_j
        + each.idle.energy_j
        + each.unattributed.energy_j
        for each in results
    )


def test_two_equal_requests_bear_the_same_and_together_all():
    (result,) = settle(interval(2000.0, [("a", Tokens(100, 50)), ("b", Tokens(100, 50))]))
    assert result.shares["a"] == result.shares["b"]
    assert summed(result.shares.values()).energy_j == pytest.approx(2000.0)
    assert result.shares["a"].idle_j == pytest.approx(450.0)  # half of 900 W for a second


def test_phases_are_weighed_by_the_marginal_figures_of_the_curves():
    (result,) = settle(interval(2000.0, [("reader", Tokens(1000, 0)), ("writer", Tokens(0, 100))]))
    p0_w = 40.0 / 0.015
    expected = ((p0_w * 1e-5 + 0.02) * 1000) / ((40.0 / 8 + 1.0) * 100)
    assert result.shares["reader"].prefill_j / result.shares["writer"].decode_j == pytest.approx(expected)
    assert result.shares["reader"].decode_j == 0.0


def test_kept_idle_energy_is_an_account_and_no_request_bears_it():
    (result,) = settle(interval(2000.0, [("a", Tokens(100, 50))]), policy=IdlePolicy.KEPT)
    assert result.idle.energy_j == pytest.approx(900.0)
    assert result.shares["a"].energy_j == pytest.approx(1100.0)
    assert result.shares["a"].idle_j == 0.0


def test_the_requests_of_a_pool_bear_the_idle_energy_of_its_resting_instances():
    results = settle(
        interval(2000.0, [("a", Tokens(100, 50))]),
        interval(500.0, instance_id="bf16-1"),
        interval(300.0, instance_id="int4-0", pool_id="int4"),
    )
    assert results[0].shares["a"].energy_j == pytest.approx(2500.0)
    assert results[1].idle is NOTHING
    assert results[2].idle.energy_j == pytest.approx(300.0)  # no request in its pool: it stays idle energy


def test_a_plain_answer_takes_its_energy_when_it_tells_its_tokens():
    one = interval(2000.0, engine=Tokens(500, 100), silent=1, is_running=True)
    (first,) = settle(one)
    assert first.shares == {}
    assert first.stock.share.energy_j == pytest.approx(2000.0)
    two = interval(2000.0, [("a", Tokens(500, 200))], engine=Tokens(0, 100))
    (second,) = settle(two, stocks={"bf16-0": first.stock})
    assert second.shares["a"].energy_j == pytest.approx(4000.0)
    assert second.stock.share.energy_j == pytest.approx(0.0)


def test_a_stream_pays_while_a_plain_answer_is_under_way():
    both = interval(2000.0, [("stream", Tokens(0, 50))], engine=Tokens(0, 100), silent=1, is_running=True)
    (result,) = settle(both)
    leaked = 1 - math.exp(-1 / LEAK_S)
    assert result.shares["stream"].energy_j == pytest.approx(2000.0 * (0.5 + 0.5 * leaked))
    assert result.stock.tokens.decode == pytest.approx(50 * (1 - leaked))


def test_a_router_that_counts_too_little_does_not_let_stock_grow_for_ever():
    stock, seen = Stock(), 0.0
    for _ in range(600):
        (result,) = settle(
            interval(2000.0, [("a", Tokens(0, 50))], engine=Tokens(0, 100), silent=1, is_running=True),
            stocks={"bf16-0": stock},
        )
        stock, seen = result.stock, result.shares["a"].energy_j
    assert seen == pytest.approx(2000.0, rel=1e-3)
    assert stock.share.energy_j < 2000.0 * LEAK_S


def test_work_that_no_router_knows_is_unattributed():
    (result,) = settle(interval(2000.0, engine=Tokens(100, 100)))
    assert result.unattributed.energy_j == pytest.approx(2000.0)
    assert result.stock == Stock()


def test_a_long_prompt_is_not_idle_energy():
    (result,) = settle(interval(2000.0, silent=1, is_running=True))
    assert result.stock.share.prefill_j == pytest.approx(1100.0)
    assert result.rate is None


def test_an_instance_without_work_is_idle_whatever_it_draws():
    (result,) = settle(interval(5000.0))
    assert result.idle.energy_j == 5000.0


def test_costs_follow_the_energy_and_a_missing_price_is_not_zero():
    (priced,) = settle(interval(2000.0, [("a", Tokens(1, 1))]))
    assert priced.shares["a"].usd == pytest.approx(2e-4)
    assert priced.shares["a"].carbon_kg == pytest.approx(2e-5)
    (blind,) = settle(interval(2000.0, [("a", Tokens(1, 1))]), signals=Signals(None, None))
    assert (blind.shares["a"].usd, blind.shares["a"].unpriced_j) == (0.0, pytest.approx(2000.0))
    assert blind.shares["a"].uncounted_j == pytest.approx(2000.0)


def test_the_price_is_that_of_the_time_at_which_the_energy_was_used():
    (cheap,) = settle(interval(2000.0, engine=Tokens(0, 100), silent=1), signals=Signals(1e-8, None))
    done = interval(2000.0, [("a", Tokens(0, 200))], engine=Tokens(0, 100))
    (dear,) = settle(done, stocks={"bf16-0": cheap.stock}, signals=Signals(3e-8, None))
    assert dear.shares["a"].usd == pytest.approx(2000 * 1e-8 + 2000 * 3e-8)


@pytest.mark.parametrize("energy_j", [0.0, 600.0])
@pytest.mark.parametrize("policy", IdlePolicy)
def test_tokens_for_which_no_energy_is_left_cost_nobody_knows_what_and_not_nothing(policy, energy_j):
    (result,) = settle(interval(energy_j, [("a", Tokens(100, 50))]), policy=policy)
    assert result.rate is None
    assert total_j([result]) == pytest.approx(energy_j)


def test_rates_times_tokens_are_the_metered_energy():
    told = [("a", Tokens(300, 40)), ("b", Tokens(20, 90))]
    (result,) = settle(interval(2345.0, told))
    assert result.rate.prefill_j * 320 + result.rate.decode_j * 130 == pytest.approx(2345.0)


# The law: requests of any length arrive at any time, tell their tokens as they flow or at their end, some never;
# engines draw anything. Over any minute the sum over requests and the declared accounts is what was metered.

REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 89),  # second of arrival
        st.integers(1, 60),  # seconds it runs
        st.integers(0, 20_000),  # prompt tokens
        st.integers(0, 80),  # output tokens a second
        st.sampled_from(["stream", "plain", "lost", "past the router"]),
        st.integers(0, 2),  # instance
    ),
    max_size=12,
)


def plays(requests, second, instance):
    """What an instance did in a second: engine's tokens, told tokens by request, silent, running."""
    prefill = decode = 0.0
    told, silent, running = [], 0, 0
    for number, (at, runs, prompt, per_s, kind, where) in enumerate(requests):
        if where != instance or not at <= second < at + runs:
            continue
        running += 1
        first, last = second == at, second == at + runs - 1
        prefill, decode = prefill + prompt * first, decode + per_s
        if kind == "stream":
            told.append((str(number), Tokens(prompt * first, per_s)))
        elif kind == "plain" and last:
            told.append((str(number), Tokens(prompt, per_s * runs)))
        elif kind == "plain" or (kind == "lost" and not last):
            silent += 1
    return Tokens(prefill, decode), tuple(told), silent, running


# Twelve shares whose costs add up to a rounding more than the stock's.
ONE_TOO_MANY = [*[(0, 1, 0, 0, "stream", 0)] * 10, (0, 1, 0, 1, "stream", 0), (0, 1, 0, 2, "stream", 0)]


@example(
    requests=ONE_TOO_MANY,
    seed=1,
    most_j=12_000.0,
    policy=IdlePolicy.SHARED,
    hears_engine=False,
    estimate=1.0,
    begins=0,
)
@settings(max_examples=40)
@given(
    requests=REQUESTS,
    seed=st.integers(0, 2**32),
    most_j=st.sampled_from([0.0, 1e-3, 900.0, 12_000.0]),
    policy=st.sampled_from(IdlePolicy),
    hears_engine=st.booleans(),
    estimate=st.sampled_from([1.0, 0.7, 1.4]),
    begins=st.integers(0, 29),
)
def test_over_any_minute_requests_and_accounts_are_the_metered_energy(
    requests, seed, most_j, policy, hears_engine, estimate, begins
):
    rng, stocks, metered, booked = random.Random(seed), {}, 0.0, 0.0
    before = {}
    for second in range(90):
        if second == begins:
            before = dict(stocks)
            metered = booked = 0.0
        steps = []
        for number in range(3):
            engine, told, silent, running = plays(requests, second, number)
            told = tuple((name, Tokens(t.prefill * estimate, t.decode)) for name, t in told)
            steps.append(
                interval(
                    rng.uniform(0.0, most_j),
                    told,
                    instance_id=str(number),
                    pool_id="bf16" if number < 2 else "int4",
                    engine=engine if hears_engine else None,
                    silent=silent,
                    batch=float(running),
                    is_running=running > 0,
                )
            )
        metered += math.fsum(each.energy_j for each in steps)
        results = settle(*steps, stocks=stocks, policy=policy, signals=Signals(None, 1e-8))
        for result in results:
            for share in (*result.shares.values(), result.stock.share, result.idle, result.unattributed):
                assert min(dataclasses.astuple(share)) >= 0.0, share
                assert share.unpriced_j == pytest.approx(share.energy_j, rel=1e-6, abs=1e-5)
        booked += math.fsum(
            summed(each.shares.values()).energy_j + each.idle.energy_j + each.unattributed.energy_j for each in results
        )
        stocks = {each.interval.instance_id: each.stock for each in results}
        if second == begins + 59:
            in_flight = math.fsum(stock.share.energy_j for stock in stocks.values())
            was_in_flight = math.fsum(stock.share.energy_j for stock in before.values())
            assert booked + in_flight - was_in_flight == pytest.approx(metered, rel=1e-9, abs=1e-6)
            return


def test_when_all_have_told_nothing_is_left_in_flight():
    requests = [(0, 5, 800, 30, "plain", 0), (2, 6, 100, 10, "stream", 0), (1, 3, 50, 20, "plain", 0)]
    stocks, by_request = {}, {}
    for second in range(10):
        engine, told, silent, running = plays(requests, second, 0)
        step = interval(3000.0, told, engine=engine, silent=silent, batch=float(running), is_running=running > 0)
        (result,) = settle(step, stocks=stocks)
        stocks = {"bf16-0": result.stock}
        for name, share in result.shares.items():
            by_request[name] = by_request.get(name, NOTHING) + share
    assert stocks["bf16-0"].share == pytest.approx(NOTHING) or stocks["bf16-0"].share.energy_j < 1e-6
    assert summed(by_request.values()).energy_j == pytest.approx(8 * 3000.0)
    assert isinstance(by_request["0"], Share)
    assert set(by_request) == {"0", "1", "2"}


@pytest.mark.parametrize("energy_j", [9000.0 + 0.1 * n for n in range(200)])
def test_rounding_makes_no_energy_less_than_nothing(energy_j):
    (result,) = settle(interval(energy_j, [("reader", Tokens(7, 0))]))
    assert min(result.shares["reader"].decode_j, result.stock.share.decode_j) >= 0.0
