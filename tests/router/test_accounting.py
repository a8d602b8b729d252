"""What is counted for an attempt, and how histograms add up."""

from __future__ import annotations

import pytest

from router.accounting import Accounts, Histogram, Traffic, add_counts, tokens_of
from router.contract import ClassId, PoolId
from router.exchange import Ask, Outcome
from router.openai import RequestFacts, Usage

STANDARD = ClassId("standard")


def ask(*, stream: bool = True, body_bytes: int = 400) -> Ask:
    return Ask(RequestFacts(stream=stream, body_bytes=body_bytes, valid=True), STANDARD, None, None, 256.0)


def test_the_engines_own_count_comes_first() -> None:
    assert tokens_of(ask(), Outcome.OK, usage=Usage(7, 9), chunks=100) == Usage(7, 9)


@pytest.mark.parametrize(
    ("outcome", "chunks", "expected"),
    [
        (Outcome.OK, 30, Usage(100, 30)),
        (Outcome.CLIENT_GONE, 30, Usage(100, 30)),
        (Outcome.TIMED_OUT, 30, Usage(100, 30)),
        (Outcome.RESET, 0, Usage(0, 0)),
        (Outcome.CLIENT_GONE, 0, Usage(0, 0)),
    ],
)
def test_a_stream_without_usage_is_estimated(outcome: Outcome, chunks: int, expected: Usage) -> None:
    assert tokens_of(ask(), outcome, usage=None, chunks=chunks) == expected


def test_a_plain_answer_without_usage_counts_no_tokens() -> None:
    assert tokens_of(ask(stream=False), Outcome.OK, usage=None, chunks=3) == Usage(0, 0)


def test_attempts_are_counted_by_class_and_pool() -> None:
    accounts = Accounts((STANDARD, ClassId("flex")))
    failed, served = accounts.traffic_of(STANDARD, PoolId("bf16")), accounts.traffic_of(STANDARD, PoolId("fp8"))
    failed.failed(Outcome.RESET, Usage(0, 0), degraded=False)
    served.answered(Usage(10, 20), degraded=True, duration_s=2.3, ttft_s=0.3, chunks=21)
    served.answered(Usage(1, 2), degraded=False, duration_s=0.1, ttft_s=None, chunks=0)
    accounts.retried(Outcome.RESET)
    assert accounts.retries == {"reset": 1}
    assert failed.outcomes == {"reset": 1}
    assert (served.outcomes, served.degraded, served.input_tokens, served.output_tokens) == ({"ok": 2}, 1, 11, 22)
    assert served.duration.total == pytest.approx(2.4)
    assert served.itl.total == pytest.approx(0.1)
    assert accounts.traffic_of(STANDARD, PoolId("fp8")) is served


def test_what_had_no_traffic_is_not_told() -> None:
    accounts = Accounts((STANDARD,))
    items = [accounts.traffic_of(STANDARD, PoolId(name)) for name in ("bf16", "fp8", "int4")]
    assert accounts.traffic() == []
    items[0].failed(Outcome.CLIENT_GONE, Usage(0, 0), degraded=False)
    items[1].ttft.observe(0.1)
    assert accounts.traffic() == items[:2], "an answer that has begun counts though it has not ended"


@pytest.mark.parametrize(("ttft_s", "chunks"), [(None, 20), (0.3, 1), (0.3, 0)])
def test_what_has_no_gaps_between_tokens_has_no_itl(ttft_s: float | None, chunks: int) -> None:
    served = Traffic.empty("standard", "bf16")
    served.answered(Usage(1, 2), degraded=False, duration_s=1.0, ttft_s=ttft_s, chunks=chunks)
    assert (sum(served.itl.counts), sum(served.duration.counts)) == (0, 1)


def test_a_clock_that_goes_back_makes_no_negative_itl() -> None:
    served = Traffic.empty("standard", "bf16")
    served.answered(Usage(1, 2), degraded=False, duration_s=1.0, ttft_s=1.5, chunks=11)
    assert (served.itl.total, served.itl.counts[0]) == (0.0, 1)


def test_refusals_are_counted_by_reason_also_without_a_class() -> None:
    accounts = Accounts((STANDARD,))
    accounts.refused(STANDARD, "queue_full")
    accounts.refused(STANDARD, "queue_full")
    accounts.refused(None, "unknown_class")
    assert accounts.classes[STANDARD].refused == {"queue_full": 2}
    assert accounts.unclassified == {"unknown_class": 1}


def test_classes_do_not_share_their_refusals() -> None:
    accounts = Accounts((STANDARD, ClassId("flex")))
    accounts.refused(STANDARD, "queue_full")
    assert accounts.classes[ClassId("flex")].refused == {}


def test_a_value_on_a_bound_is_within_it() -> None:
    histogram = Histogram.empty((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 1.0, 1.1, 100.0):
        histogram.observe(value)
    assert histogram.counts == [2, 2, 2]
    assert histogram.total == pytest.approx(102.75)


def test_workers_counts_add_up() -> None:
    one, two = Traffic.empty("standard", "bf16"), Traffic.empty("standard", "bf16")
    one.outcomes, two.outcomes = {"ok": 1}, {"ok": 2, "reset": 1}
    one.ttft.observe(0.2)
    two.ttft.observe(0.4)
    two.output_tokens = 7
    one.add(two)
    assert (one.outcomes, sum(one.ttft.counts), one.output_tokens) == ({"ok": 3, "reset": 1}, 2, 7)
    assert one.ttft.total == pytest.approx(0.6)
    into = {"a": 1}
    add_counts(into, {"a": 2, "b": 3})
    assert into == {"a": 3, "b": 3}
