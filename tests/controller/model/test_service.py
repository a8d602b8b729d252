import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.service import ClassService, Latencies, grown, summed

EDGES = ((0.0, 0.1), (0.1, 1.0), (1.0, math.inf))


def latencies(*counts, sum_s=0.0):
    return Latencies(sum_s, tuple((*edges, float(count)) for edges, count in zip(EDGES, counts, strict=True) if count))


def test_quantiles_lie_within_their_bucket_and_the_open_one_tells_its_lower_edge():
    found = latencies(50, 50, 0)
    assert found.quantile_s(0.25) == pytest.approx(0.05)
    assert found.quantile_s(0.75) == pytest.approx(0.55)
    assert latencies(0, 1, 99).quantile_s(0.99) == 1.0
    assert Latencies().quantile_s(0.5) is None
    assert Latencies().mean_s is None
    assert latencies(1, 1, 0, sum_s=0.6).mean_s == pytest.approx(0.3)


def test_what_a_client_did_is_no_failure():
    assert ClassService(outcomes={"ok": 5, "client_gone": 3, "client_error": 2, "timed_out": 1, "reset": 1}).failed == 2


COUNTS = st.lists(st.integers(0, 1000), min_size=3, max_size=3)


@given(COUNTS, COUNTS)
def test_what_came_and_what_was_before_make_what_is(before, more):
    def service(counts):
        return ClassService(
            requests=sum(counts), outcomes={"ok": counts[0]}, ttft=latencies(*counts, sum_s=float(sum(counts)))
        )

    now = service([b + m for b, m in zip(before, more, strict=True)])
    came = grown(service(before), now)
    assert came.requests == sum(more)
    assert came.ttft.count == sum(more)
    again = summed([service(before), came])
    assert (again.requests, again.outcomes["ok"], again.ttft) == (now.requests, now.outcomes["ok"], now.ttft)
