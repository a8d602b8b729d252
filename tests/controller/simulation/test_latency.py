from __future__ import annotations

import random

import pytest

from controller.simulation.latency import Latencies


def test_nothing_counted_has_no_quantile() -> None:
    assert Latencies().quantile_s(0.5) is None


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_are_within_two_percent(share: float) -> None:
    rng = random.Random(7)
    values = sorted(rng.lognormvariate(-3.0, 1.0) for _ in range(5000))
    latencies = Latencies()
    for value in values:
        latencies.add(value)
    exact = values[max(0, round(share * len(values)) - 1)]
    assert latencies.quantile_s(share) == pytest.approx(exact, rel=0.021)


def test_counts_weigh() -> None:
    latencies = Latencies()
    latencies.add(0.01, times=99)
    latencies.add(1.0)
    assert latencies.count == 100
    assert latencies.quantile_s(0.99) == pytest.approx(0.01, rel=0.03)
    assert latencies.quantile_s(1.0) == pytest.approx(1.0, rel=0.03)


def test_extremes_stay_in_the_end_buckets() -> None:
    latencies = Latencies()
    latencies.add(0.0)
    latencies.add(1e9)
    assert latencies.quantile_s(0.5) == pytest.approx(1e-4)
    assert (latencies.quantile_s(1.0) or 0) > 500
