"""What is counted for an attempt, and how histograms add up."""

from __future__ import annotations

import pytest

from router.accounting import Accounts, Answer, Tally, Traffic, add_counts, tokens_of
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
    failed, served = accounts.tally_of(STANDARD, PoolId("bf16")), accounts.tally_of(STANDARD, PoolId("fp8"))
    failed.traffic.failed(Outcome.RESET, Usage(0, 0), degraded=False)
    served.ttfts_s.append(0.3)
    served.answers.append(Answer(Usage(10, 21), 2.3, 0.3, degraded=True))
    served.answers.append(Answer(Usage(1, 1), 0.1, None, degraded=False))
    accounts.retried(Outcome.RESET)
    bf16, fp8 = accounts.traffic()
    assert accounts.retries == {"reset": 1}
    assert bf16.outcomes == {"reset": 1}
    assert (fp8.outcomes, fp8.degraded, fp8.input_tokens, fp8.output_tokens) == ({"ok": 2}, 1, 11, 22)
    assert (fp8.duration.total, fp8.ttft.total) == (pytest.approx(2.4), 0.3)
    assert (fp8.itl.total, sum(fp8.itl.counts)) == (pytest.approx(0.1), 1)
    assert (fp8.input_sizes.total, fp8.output_sizes.total) == (11, 22)
    assert accounts.tally_of(STANDARD, PoolId("fp8")) is served


def test_what_was_settled_is_not_counted_again() -> None:
    accounts = Accounts((STANDARD,))
    tally = accounts.tally_of(STANDARD, PoolId("bf16"))
    tally.answers.append(Answer(Usage(10, 20), 1.0, None, degraded=False))
    tally.ttfts_s.append(0.1)
    for _ in range(3):
        accounts.settle()
        (item,) = accounts.traffic()
    assert (item.outcomes, item.output_tokens, sum(item.ttft.counts)) == ({"ok": 1}, 20, 1)


def test_what_had_no_traffic_is_not_told() -> None:
    accounts = Accounts((STANDARD,))
    tallies = [accounts.tally_of(STANDARD, PoolId(name)) for name in ("bf16", "fp8", "int4")]
    assert accounts.traffic() == []
    tallies[0].traffic.failed(Outcome.CLIENT_GONE, Usage(0, 0), degraded=False)
    tallies[1].ttfts_s.append(0.1)
    told = [item.pool_id for item in accounts.traffic()]
    assert told == ["bf16", "fp8"], "an answer that has begun counts though it has not ended"


def answered(*answers: Answer) -> Traffic:
    tally = Tally(Traffic.empty("standard", "bf16"))
    tally.answers += answers
    tally.settle()
    return tally.traffic


@pytest.mark.parametrize(("ttft_s", "tokens"), [(None, 20), (0.3, 1), (0.3, 0)])
def test_what_has_no_gaps_between_tokens_has_no_itl(ttft_s: float | None, tokens: int) -> None:
    served = answered(Answer(Usage(1, tokens), 1.0, ttft_s, degraded=False))
    assert (sum(served.itl.counts), sum(served.duration.counts)) == (0, 1)


def test_a_clock_that_goes_back_makes_no_negative_itl() -> None:
    served = answered(Answer(Usage(1, 11), 1.0, 1.5, degraded=False))
    assert (served.itl.total, served.itl.counts[0]) == (0.0, 1)


def test_an_answer_without_tokens_has_no_size() -> None:
    served = answered(*[Answer(Usage(0, 0), 1.0, None, degraded=False)] * 20)
    assert (sum(served.duration.counts), sum(served.input_sizes.counts), sum(served.output_sizes.counts)) == (20, 0, 0)


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
