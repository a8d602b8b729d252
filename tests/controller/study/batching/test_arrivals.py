from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation.trace import Arrival
from controller.study.batching.arrivals import Demand, Pattern, make_jobs

LENGTHS = (Arrival(0.0, 100, 10), Arrival(1.0, 200, 20), Arrival(2.0, 300, 30))
DEMAND = Demand(2.0, 100.0, 0.5)


@given(st.sampled_from(Pattern), st.floats(0.1, 10), st.integers(0, 9))
def test_every_pattern_has_the_mean_rate_in_order_of_time(pattern: Pattern, rate_rps: float, seed: int) -> None:
    jobs = make_jobs(Demand(rate_rps, 100.0, 0.5, pattern, burst=4), LENGTHS, seed)
    assert len(jobs) == max(1, round(rate_rps * 100))
    times = [job.time_s for job in jobs]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= 100.0


def test_patterns_differ_in_their_gaps_only() -> None:
    paced = make_jobs(dataclasses.replace(DEMAND, pattern=Pattern.PACED), LENGTHS, 0)
    bursts = make_jobs(dataclasses.replace(DEMAND, pattern=Pattern.BURSTS, burst=20), LENGTHS, 0)
    assert {round(b.time_s - a.time_s, 9) for a, b in pairwise(paced)} == {0.5}
    assert [job.time_s for job in bursts[:21]] == [0.0] * 20 + [10.0]
    assert [job.output_tokens for job in paced] == [job.output_tokens for job in bursts]


def test_lengths_follow_the_trace_and_begin_again() -> None:
    assert [job.input_tokens for job in make_jobs(DEMAND, LENGTHS, 0)[:5]] == [100, 200, 300, 100, 200]


def test_the_same_requests_stay_flexible_as_their_share_grows() -> None:
    few = make_jobs(dataclasses.replace(DEMAND, flex_share_frac=0.3), LENGTHS, 7)
    more = make_jobs(dataclasses.replace(DEMAND, flex_share_frac=0.8), LENGTHS, 7)
    assert [job.time_s for job in few] == [job.time_s for job in more]
    assert all(b.is_flex for a, b in zip(few, more, strict=True) if a.is_flex)
    assert sum(job.is_flex for job in few) < sum(job.is_flex for job in more)


def test_all_or_none_may_be_flexible() -> None:
    assert all(job.is_flex for job in make_jobs(dataclasses.replace(DEMAND, flex_share_frac=1.0), LENGTHS, 0))
    assert not any(job.is_flex for job in make_jobs(dataclasses.replace(DEMAND, flex_share_frac=0.0), LENGTHS, 0))


@pytest.mark.parametrize(
    "changes",
    [
        {"rate_rps": -1.0},
        {"rate_rps": 0.0},
        {"rate_rps": float("nan")},
        {"duration_s": 0.0},
        {"duration_s": float("inf")},
        {"flex_share_frac": 1.5},
        {"flex_share_frac": float("nan")},
    ],
)
def test_demand_that_makes_no_sense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be positive|is not between 0 and 1"):
        make_jobs(dataclasses.replace(DEMAND, **changes), LENGTHS, 0)


def test_a_trace_without_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="no lengths"):
        make_jobs(DEMAND, (), 0)
