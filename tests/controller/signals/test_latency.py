import math
from types import SimpleNamespace

import pytest

from controller.signals.latency import Latency, LatencyWindow, grown, quantile, summed


def histogram(*counts):
    return tuple(zip((0.1, 0.2, math.inf), counts, strict=True))


def engine(ttft, itl=()):
    return SimpleNamespace(ttft=ttft, itl=itl)


def test_quantiles_interpolate_within_a_bucket():
    assert quantile(histogram(10, 20, 20), 0.5) == pytest.approx(0.1)
    assert quantile(histogram(10, 20, 20), 0.75) == pytest.approx(0.15)
    assert quantile(histogram(10, 20, 20), 0.25) == pytest.approx(0.05)


def test_beyond_the_last_edge_the_largest_finite_edge_is_told():
    assert quantile(histogram(0, 0, 5), 0.5) == 0.2


def test_nothing_seen_is_not_known():
    assert quantile((), 0.5) is None
    assert quantile(histogram(0, 0, 0), 0.5) is None


def test_growth_and_sum():
    assert grown(histogram(1, 2, 3), histogram(2, 4, 6)) == histogram(1, 2, 3)
    assert summed([histogram(1, 2, 3), histogram(1, 1, 1)]) == histogram(2, 3, 4)


@pytest.mark.parametrize("current", [histogram(1, 2, 3), histogram(0, 0, 1), ((0.5, 9.0), (math.inf, 9.0))])
def test_no_growth_a_restart_and_other_buckets_add_nothing(current):
    assert grown(histogram(1, 2, 3), current) == ()


def test_a_window_forgets():
    window = LatencyWindow(30.0)
    window.add(0.0, None, engine(histogram(5, 5, 5)))
    assert window.quantiles() == Latency()
    window.add(1.0, engine(histogram(5, 5, 5)), engine(histogram(15, 15, 15), histogram(0, 1, 1)))
    window.add(2.0, engine(histogram(0, 0, 0)), engine(histogram(0, 10, 10)))
    window.prune(10.0)
    assert window.quantiles().ttft_p50_s == pytest.approx(0.1)
    window.prune(31.0)
    assert window.quantiles().ttft_p50_s == pytest.approx(0.15)
    window.prune(32.0)
    assert window.quantiles().ttft_p50_s is None
