from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.model.fleet import RequestClass
from controller.model.perf import PoolCurves
from controller.optimizer.first_token import STEP_TOKENS, charged, largest_share_frac, mean_ttft_s
from controller.optimizer.workload import Lengths, busy_s_per_token, slo_batch
from controller.simulation.batch import MAX_BATCHED_TOKENS, Sequence
from controller.simulation.engine import EnginePhysics
from controller.simulation.profiles import load_profile
from router.contract import ClassId
from tests.fakes.fake_fleet import BF16

CURVES = load_profile("llama-3.1-70b/bf16/4xh100")
CHAT, READING, STORIES = Lengths(1024.0, 256.0), Lengths(4000.0, 60.0), Lengths(200.0, 300.0)
CASES = [(CHAT, 0.06), (CHAT, 0.03), (READING, 0.2), (STORIES, 0.05)]
REQUESTS = 2500


def a_class(itl_slo_s: float = 0.06, ttft_slo_s: float = 2.0) -> RequestClass:
    return RequestClass(ClassId("standard"), itl_slo_s=itl_slo_s, ttft_slo_s=ttft_slo_s)


def seen_ttft_s(curves: PoolCurves, lengths: Lengths, batch: float, share_frac: float, *, vary: bool = True) -> float:
    """Mean time to first token of requests that come at random to one engine whose batch is capped."""
    rng = Random(7)
    engine = EnginePhysics(replace(curves, max_num_seqs=math.floor(batch)), 0.0)
    per_s = share_frac / busy_s_per_token(curves, batch, lengths) / lengths.output_tokens
    now_s, requests = 0.0, []
    for n in range(REQUESTS):
        now_s += rng.expovariate(per_s)
        engine.advance(now_s)
        tokens = (lengths.input_tokens, lengths.output_tokens)
        given_in, given_out = (max(1, round(rng.expovariate(1.0 / mean) if vary else mean)) for mean in tokens)
        requests.append(Sequence(n, given_in, given_out, now_s))
        engine.submit(requests[-1])
    while (due_s := engine.next_step_at()) is not None:
        engine.advance(due_s)
    settled = requests[REQUESTS // 5 :]
    return sum((one.first_token_s or math.nan) - one.arrived_s for one in settled) / len(settled)


@pytest.mark.parametrize(("lengths", "itl_slo_s"), CASES)
@pytest.mark.parametrize("share_frac", [0.1, 0.5, 0.8])
def test_the_engine_is_not_later_than_predicted(lengths: Lengths, itl_slo_s: float, share_frac: float) -> None:
    batch = slo_batch(CURVES, a_class(itl_slo_s), lengths)
    predicted_s, seen_s = (f(CURVES, lengths, batch, share_frac) for f in (mean_ttft_s, seen_ttft_s))
    assert seen_s <= 1.03 * predicted_s  # 3 %: the mean of so many random requests
    assert predicted_s <= 1.5 * seen_s


@pytest.mark.parametrize(("lengths", "itl_slo_s"), CASES)
@pytest.mark.parametrize("slack", [1.2, 1.5, 2.0])
def test_a_plan_within_the_share_keeps_the_promise_in_the_engine(
    lengths: Lengths, itl_slo_s: float, slack: float
) -> None:
    alone_s = CURVES.step_base_s + CURVES.prefill_s_per_token * lengths.input_tokens
    cls = a_class(itl_slo_s, slack * alone_s)
    batch = slo_batch(CURVES, cls, lengths)
    share_frac = largest_share_frac(CURVES, cls, lengths, batch, 0.85)
    assert share_frac > 0.0
    assert seen_ttft_s(CURVES, lengths, batch, share_frac) <= 1.03 * cls.ttft_slo_s


def test_without_the_bound_the_engine_breaks_a_tight_promise() -> None:
    cls = a_class(ttft_slo_s=0.16)
    batch = slo_batch(CURVES, cls, CHAT)
    share_frac = largest_share_frac(CURVES, cls, CHAT, batch, 0.85)
    assert 0.1 < share_frac < 0.7
    assert seen_ttft_s(CURVES, CHAT, batch, 0.85) > 1.2 * cls.ttft_slo_s


def test_prompts_of_one_length_come_earlier_than_predicted() -> None:
    batch = slo_batch(CURVES, a_class(0.2), READING)
    assert seen_ttft_s(CURVES, READING, batch, 0.6, vary=False) < mean_ttft_s(CURVES, READING, batch, 0.6)


def test_a_prompt_longer_than_a_step_takes_takes_several_steps() -> None:
    assert STEP_TOKENS == MAX_BATCHED_TOKENS
    longer = Lengths(2.5 * STEP_TOKENS, 200.0)
    batch = slo_batch(CURVES, a_class(0.5), longer)
    predicted_s = mean_ttft_s(CURVES, longer, batch, 0.0)
    assert predicted_s == pytest.approx(3 * CURVES.step_base_s + CURVES.prefill_s_per_token * 2.5 * STEP_TOKENS)
    engine = EnginePhysics(CURVES, 0.0)
    engine.submit(request := Sequence(1, int(longer.input_tokens), 2, 0.0))
    engine.advance(10.0)
    assert request.first_token_s == pytest.approx(predicted_s)


def test_a_loose_promise_takes_nothing_of_what_is_planned() -> None:
    batch = slo_batch(BF16, a_class(), CHAT)
    assert largest_share_frac(BF16, a_class(ttft_slo_s=2.0), CHAT, batch, 0.85) == 0.85


def test_prefill_and_step_beyond_the_promise_leave_no_share() -> None:
    batch = slo_batch(BF16, a_class(), CHAT)
    alone_s = BF16.step_base_s + BF16.prefill_s_per_token * CHAT.input_tokens
    assert largest_share_frac(BF16, a_class(ttft_slo_s=0.99 * alone_s), CHAT, batch, 0.85) == 0.0
    assert largest_share_frac(BF16, a_class(ttft_slo_s=3 * alone_s), CHAT, batch, 0.85) > 0.0


def test_a_pool_without_a_batch_has_no_share() -> None:
    assert largest_share_frac(BF16, a_class(ttft_slo_s=60.0), CHAT, 0.9, 0.85) == 0.0


def test_more_than_the_engine_can_do_waits_for_ever() -> None:
    assert mean_ttft_s(BF16, CHAT, 64.0, 1.0) == math.inf


def test_the_tightest_class_on_a_pool_sets_the_room_for_all_on_it() -> None:
    busy_s = ((0.001, 0.002), (0.003, 0.004))
    shares = ((0.4, 0.8), (0.8, 0.2))
    both = charged(busy_s, shares, ((True, True), (True, True)), 0.8)
    assert both[0] == pytest.approx((0.002, 0.008))
    assert both[1] == pytest.approx((0.006, 0.016))
    without = charged(busy_s, shares, ((True, True), (True, False)), 0.8)
    assert without[0] == pytest.approx((0.002, 0.002))


def test_what_is_kept_nowhere_or_used_by_nobody_makes_nothing_dearer() -> None:
    busy_s = ((0.001,), (0.003,))
    assert charged(busy_s, ((0.0,), (0.8,)), ((True,), (True,)), 0.8) == busy_s
    assert charged(busy_s, ((0.4,), (0.4,)), ((False,), (False,)), 0.8) == busy_s


@example(Lengths(4346.5, 1.0), 1.0, 1.0, 1.0)
@given(
    st.builds(Lengths, st.floats(1.0, 20_000.0), st.floats(1.0, 2000.0)),
    st.floats(1.0, 400.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_more_load_never_brings_the_first_token_earlier(
    lengths: Lengths, batch: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    earlier_s, later_s = (mean_ttft_s(CURVES, lengths, batch, share) for share in (low, high))
    assert CURVES.step_base_s <= earlier_s <= later_s * (1 + 1e-9)


@given(st.floats(0.05, 3.0), st.floats(0.05, 3.0))
def test_a_tighter_promise_never_leaves_a_larger_share(one_s: float, other_s: float) -> None:
    batch = slo_batch(CURVES, a_class(), CHAT)
    tight, loose = (
        largest_share_frac(CURVES, a_class(ttft_slo_s=slo_s), CHAT, batch, 0.85) for slo_s in sorted((one_s, other_s))
    )
    assert 0.0 <= tight <= loose <= 0.85
