from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.simulation.trace import Arrival, Trace
from controller.study.offline_routing.queries import from_trace, synthetic, within_range
from controller.study.offline_routing.settings import SyntheticQueries, TraceQueries
from controller.study.offline_routing.workload_model import LanguageModel, Terms

TRACE = Trace(
    "t.csv", datetime(2026, 1, 1, tzinfo=UTC), (Arrival(0.0, 10, 20), Arrival(4.0, 3000, 5), Arrival(6.0, 1, 1))
)


def model(least: int, most: int) -> LanguageModel:
    terms = Terms(0.0, 1.0, 1.0, 0.0)
    return LanguageModel("m", 0.5, terms, terms, 1, (least, most), (1, 10_000), 0.0, 1.0, "s")


def test_a_trace_gives_its_own_times_over_the_speed() -> None:
    queries = from_trace(TRACE, TraceQueries(source="trace", first=2, speed=4.0), "a trace")
    assert queries.arrival_s.tolist() == [0.0, 1.0]
    assert queries.tokens.tolist() == [30, 3005]


def made(seed: int) -> SyntheticQueries:
    return SyntheticQueries(
        source="synthetic", count=4000, seed=seed, median_input_tokens=200, median_output_tokens=100, rate_rps=5.0
    )


def test_synthetic_queries_have_the_medians_and_the_rate_and_follow_the_seed() -> None:
    queries = synthetic(made(1), np.random.default_rng(1))
    assert np.median(queries.input_tokens) == pytest.approx(200, rel=0.05)
    assert np.median(queries.output_tokens) == pytest.approx(100, rel=0.05)
    assert len(queries) / queries.arrival_s[-1] == pytest.approx(5.0, rel=0.05)
    assert (np.diff(queries.arrival_s) >= 0).all()
    assert queries.output_tokens.min() >= 1
    again = synthetic(made(1), np.random.default_rng(1))
    assert np.array_equal(queries.input_tokens, again.input_tokens)
    assert not np.array_equal(queries.input_tokens, synthetic(made(2), np.random.default_rng(2)).input_tokens)
    assert "seed 1" in queries.source


def test_a_query_that_no_model_may_serve_is_named() -> None:
    queries = from_trace(TRACE, TraceQueries(source="trace"), "a trace")
    with pytest.raises(ConfigError, match=r"1 of 3 may be served by no model; the first is number 2 with 3000 input"):
        within_range(queries, (model(1, 2000), model(1, 50)), leave_out=False)


def test_or_left_out_and_counted() -> None:
    queries = within_range(from_trace(TRACE, TraceQueries(source="trace"), "t"), (model(1, 2000),), leave_out=True)
    assert (len(queries), queries.left_out) == (2, 1)


def test_none_left_is_told() -> None:
    queries = from_trace(TRACE, TraceQueries(source="trace"), "a trace")
    with pytest.raises(ConfigError, match="none of the 3 may be served"):
        within_range(queries, (model(5000, 6000),), leave_out=True)
