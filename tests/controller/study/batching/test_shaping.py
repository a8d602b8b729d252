from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.simulation.profiles import load_profile
from controller.study.batching.arrivals import Job
from controller.study.batching.shaping import Hold, Policy, Served, serve

CURVES = load_profile("qwen3-235b-a22b/bf16/8xh100")
NEVER = Policy(Hold.NEVER)


def flex(*times_s: float, tokens: int = 50) -> list[Job]:
    return [Job(time_s, 10, tokens, is_flex=True) for time_s in times_s]


def served(jobs: list[Job], policy: Policy, until_s: float = 200.0) -> Served:
    return serve(CURVES, jobs, policy, until_s)


SPARSE = flex(0.0, 10.0, 20.0, 30.0, 40.0, 50.0)


def test_gathering_serves_the_same_tokens_with_less_energy_and_a_wait() -> None:
    plain, gathered = served(SPARSE, NEVER), served(SPARSE, Policy(Hold.GATHER, 60.0))
    assert gathered.output_tokens == plain.output_tokens == 300
    assert gathered.energy_j < plain.energy_j
    assert gathered.busy_frac < plain.busy_frac
    assert (plain.batch_mean, gathered.batch_mean) == (pytest.approx(1.0, rel=0.05), pytest.approx(6.0, rel=0.05))
    assert plain.held_max_s == 0.0
    assert gathered.held_max_s == pytest.approx(60.0)
    assert gathered.held_mean_s == pytest.approx((60 + 50 + 40 + 30 + 20 + 10) / 6)


def test_sleeping_in_between_takes_less_still_and_delays_no_release() -> None:
    awake, asleep = (served(SPARSE, Policy(Hold.GATHER, 60.0, sleeps=sleeps)) for sleeps in (False, True))
    assert asleep.energy_j < awake.energy_j
    assert asleep.held_max_s == pytest.approx(60.0)
    assert (asleep.flex_ttft_p95_s or 0) == pytest.approx(awake.flex_ttft_p95_s or 0, rel=0.03)


def test_energy_is_that_of_the_whole_window_work_or_not() -> None:
    one = served(flex(0.0), NEVER, until_s=1000.0)
    busy_s = one.busy_frac * 1000.0
    assert one.energy_j == pytest.approx(CURVES.p0_w * busy_s + CURVES.idle_w * (1000.0 - busy_s), rel=0.02)
    assert one.mean_w == pytest.approx(one.energy_j / 1000.0)
    assert one.j_per_output_token == pytest.approx(one.energy_j / 50)


def test_held_while_idle_joins_what_the_instance_does_anyway() -> None:
    jobs = [*flex(0.0), Job(5.0, 10, 400, is_flex=False), *flex(6.0)]
    riding = served(jobs, Policy(Hold.RIDE, 60.0))
    assert riding.held_max_s == pytest.approx(5.0)
    assert riding.held_mean_s == pytest.approx(2.5)
    gathered = served(jobs, Policy(Hold.GATHER, 60.0))
    assert gathered.held_max_s == pytest.approx(60.0)
    assert riding.energy_j < gathered.energy_j


def test_requests_that_may_not_be_held_are_not() -> None:
    jobs = [Job(0.0, 10, 20, is_flex=False), Job(3.0, 10, 20, is_flex=False)]
    found = served(jobs, Policy(Hold.GATHER, 60.0))
    assert (found.held_mean_s, found.flex_ttft_p95_s) == (None, None)
    assert (found.ttft_p95_s or 1) < 0.1


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 60), st.booleans()), min_size=1, max_size=12),
    st.sampled_from([NEVER, Policy(Hold.RIDE, 15.0), Policy(Hold.GATHER, 15.0)]),
)
@settings(max_examples=60)
def test_no_token_is_lost_and_nothing_is_held_for_too_long(rows: list[tuple[float, int, bool]], policy: Policy) -> None:
    jobs = [Job(time_s, 20, tokens, is_flex) for time_s, tokens, is_flex in sorted(rows)]
    found = served(jobs, policy)
    assert found.output_tokens == sum(job.output_tokens for job in jobs)
    assert (found.held_max_s or 0.0) <= policy.hold_s + 1e-9
    assert found.duration_s >= 200.0
    assert CURVES.idle_w * found.duration_s <= found.energy_j * (1 + 1e-9)


def test_no_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="no requests to serve"):
        served([], NEVER)


def test_an_instance_that_must_answer_at_any_time_cannot_sleep() -> None:
    jobs = [Job(0.0, 10, 20, is_flex=False)]
    with pytest.raises(ValueError, match="cannot sleep"):
        served(jobs, Policy(Hold.GATHER, 60.0, sleeps=True))


def test_a_request_too_long_for_the_instance_is_refused() -> None:
    small = dataclasses.replace(CURVES, kv_capacity_tokens=40)
    with pytest.raises(ValueError, match="key-value"):
        serve(small, flex(0.0), NEVER, 10.0)
