"""What is counted for an attempt, and how histograms add up."""

from __future__ import annotations

import pytest

from router.accounting import Accounts, ClassCounts, Histogram, Traffic, add_counts, tokens_of
from router.contract import ClassId, InstanceId, PoolId, Precision
from router.exchange import Ask, Choice, InstanceSpec, Outcome
from router.openai import RequestFacts, Usage

STANDARD = ClassId("standard")


def ask(*, stream: bool = True, body_bytes: int = 400) -> Ask:
    return Ask(RequestFacts(stream=stream, body_bytes=body_bytes, valid=True), STANDARD, None, None, None, 256.0)


def choice(pool: str = "bf16", *, degraded: bool = False) -> Choice:
    spec = InstanceSpec(
        InstanceId(f"{pool}-0"), PoolId(pool), Precision.BF16, ("127.0.0.1", 1), "http://127.0.0.1:1", 8
    )
    return Choice(spec, STANDARD, -1, degraded, 1, 256.0)


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


def test_a_requests_life_is_counted_by_class_and_pool() -> None:
    accounts = Accounts((STANDARD, ClassId("flex")))
    accounts.asked(STANDARD)
    accounts.reserved(choice(), off_allocation=False)
    accounts.released(choice(), Outcome.RESET, Usage(0, 0))
    accounts.retried(Outcome.RESET)
    accounts.reserved(choice("fp8", degraded=True), off_allocation=True)
    assert accounts.classes[STANDARD].in_flight == 1
    accounts.first_byte(choice("fp8"), 0.3)
    accounts.released(choice("fp8", degraded=True), Outcome.OK, Usage(10, 20))
    accounts.timed(choice("fp8"), duration_s=2.3, ttft_s=0.3, chunks=21)

    assert accounts.classes[STANDARD] == ClassCounts("standard", requests=1, finished=1, off_allocation=1)
    assert accounts.classes[ClassId("flex")] == ClassCounts("flex")
    assert accounts.retries == {"reset": 1}
    assert accounts.traffic[STANDARD, PoolId("bf16")].outcomes == {"reset": 1}
    served = accounts.traffic[STANDARD, PoolId("fp8")]
    assert (served.outcomes, served.degraded, served.input_tokens, served.output_tokens) == ({"ok": 1}, 1, 10, 20)
    assert (served.ttft.total, served.duration.total) == (0.3, 2.3)
    assert served.itl.total == pytest.approx(0.1)


@pytest.mark.parametrize(("ttft_s", "chunks"), [(None, 20), (0.3, 1), (0.3, 0)])
def test_what_has_no_gaps_between_tokens_has_no_itl(ttft_s: float | None, chunks: int) -> None:
    accounts = Accounts((STANDARD,))
    accounts.timed(choice(), duration_s=1.0, ttft_s=ttft_s, chunks=chunks)
    served = accounts.traffic[STANDARD, PoolId("bf16")]
    assert (sum(served.itl.counts), sum(served.duration.counts)) == (0, 1)


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
