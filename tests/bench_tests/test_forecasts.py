"""The forecasters' judge: what it counts, on series short enough to see through."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.forecasts.cases import CODE_TRACE, DemandCase, SignalCase, demand_cases, weeks
from tests.bench.forecasts.replay import IN_USE, of_demand, of_signal
from tests.bench.forecasts.table import demand_table, figures, signal_table


def steady(step_s: float = 60.0) -> DemandCase:
    return DemandCase("steady", np.arange(0.25, 4000.0, 0.5), 4000.0, 5.0, step_s, 4)


def test_a_steady_rate_is_foreseen_without_error() -> None:
    replayed = of_demand(steady(), 0.9)
    told = [pair for (name, lead, _), pair in replayed.said.items() if name == "persistence" and lead == 1]
    assert [point for point, _ in told] == pytest.approx([2.0] * len(told))


def test_only_targets_whose_outcome_is_known_are_judged() -> None:
    values = np.arange(40.0)
    replayed = of_signal(SignalCase("ramp", values, 3600.0, 4, None, 0))
    one = figures(replayed, "persistence", (1,), 0.5, skip=10)
    assert one is not None
    assert (one.mase, one.forecasts) == (pytest.approx(1.0), 30)
    assert figures(replayed, "feed", (1,), 0.5, skip=10) is None


def test_a_feed_that_knows_is_in_use() -> None:
    values = np.random.default_rng(0).normal(50.0, 10.0, 90)
    replayed = of_signal(SignalCase("known", values, 3600.0, 4, lambda _, k: float(values[k]) if k < 90 else None, 0))
    used = figures(replayed, IN_USE, (1,), 0.5, skip=5)
    assert used is not None
    assert used.mase == 0.0
    assert "| feed |" in "\n".join(signal_table(replayed, 5))


def test_tables_tell_all_that_spoke() -> None:
    arrivals = np.sort(np.random.default_rng(1).uniform(0.0, 4000.0, 8000))
    case = DemandCase("noise", arrivals, 4000.0, 5.0, 60.0, 4)
    low, high = of_demand(case, 0.5), of_demand(case, 0.9)
    text = "\n".join(demand_table(low, high, 0))
    assert "| persistence | 1 |" in text
    assert "same_time_last_week" not in text


def test_made_up_weeks_come_again_for_the_same_seed() -> None:
    one = weeks(2, seed=3)
    assert np.array_equal(one, weeks(2, seed=3))
    assert len(one) / (2 * 86_400) == pytest.approx(2.0, rel=0.4)
    assert {case.name for case in demand_cases() if "SYNTHETIC" in case.name}
    assert CODE_TRACE.is_file()
