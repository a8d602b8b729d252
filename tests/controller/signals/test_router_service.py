import math

import pytest

from controller.signals.router_service import ServiceTotals, read_service

COUNTED = {("chat", name): 1.0 for name in ("requests", "finished", "refused", "input_tokens", "output_tokens")}
TTFT = {"bounds": [0.1, 1.0], "counts": [5, 2, 1], "total": 3.5}


def told(**more):
    return read_service([{"class_id": "chat", **more}], COUNTED)


def test_counters_outcomes_and_buckets_are_read():
    found = told(outcomes={"ok": 3, "reset": 1}, ttft_s=TTFT)
    assert found["chat", "requests", ""] == 1.0
    assert found["chat", "outcome", "reset"] == 1.0
    assert found["chat", "ttft_s", (1.0, math.inf)] == 1.0
    assert found["chat", "ttft_s", "sum"] == 3.5


def test_a_router_that_tells_no_latencies_is_counted_without_them():
    totals = ServiceTotals()
    for _ in range(2):
        totals.begin(asked=1)
        totals.take("r", told(), restarted=False)
    assert totals.totals["chat"].ttft.mean_s is None


def test_a_look_at_which_a_router_did_not_answer_is_not_whole():
    totals = ServiceTotals()
    for routers in (("a", "b"), ("a",)):
        totals.begin(asked=2)
        for router in routers:
            totals.take(router, told(), restarted=False)
        assert totals.is_whole == (routers == ("a", "b"))
    totals.begin(asked=0)
    assert not totals.is_whole


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"outcomes": []}, r"classes\[0\].outcomes is not an object"),
        ({"outcomes": {"ok": -1}}, r"outcomes.ok is -1"),
        ({"outcomes": {str(n): 1 for n in range(65)}}, "at most 64"),
        ({"ttft_s": None}, r"classes\[0\].ttft_s is no histogram"),
        ({"itl_s": {**TTFT, "counts": [1, 2]}}, "itl_s has 2 counts for 2 bounds"),
        ({"itl_s": {**TTFT, "bounds": [1.0, 0.1]}}, "do not ascend"),
        ({"itl_s": {**TTFT, "bounds": [0.1, math.nan]}}, "itl_s.bounds is nan"),
        ({"itl_s": {**TTFT, "total": "x"}}, "itl_s.total is 'x'"),
        ({"itl_s": {**TTFT, "bounds": list(range(1, 130))}}, "at most 128 bounds"),
    ],
)
def test_what_is_malformed_is_refused_with_the_place(more, problem):
    with pytest.raises(ValueError, match=problem):
        told(**more)


def test_a_failure_of_a_kind_that_was_not_seen_before_counts():
    totals = ServiceTotals()
    totals.take("r", told(outcomes={"ok": 3}), restarted=False)
    totals.take("r", told(outcomes={"ok": 3, "reset": 2}), restarted=False)
    assert totals.totals["chat"].failed == 2


def test_a_router_that_is_seen_for_the_first_time_begins_at_what_it_has_even_after_a_restart():
    totals = ServiceTotals()
    totals.take("r", told(ttft_s=TTFT), restarted=True)
    assert totals.totals["chat"].ttft.count == 0
    assert totals.totals["chat"].requests == 0


def test_what_a_router_that_has_ended_had_counted_stays_in_the_sums():
    totals = ServiceTotals()
    totals.take("r", told(outcomes={"ok": 3}), restarted=False)
    totals.take("r", told(outcomes={"ok": 3, "reset": 2}), restarted=False)
    totals.keep_only(("other",))
    assert totals.totals["chat"].failed == 2
    totals.take("r", told(outcomes={"ok": 3, "reset": 9}), restarted=False)
    assert totals.totals["chat"].failed == 2, "it is seen for the first time"
