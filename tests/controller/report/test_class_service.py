import pytest

from controller.evidence.service import ServiceMinute
from controller.model.service import ClassService, Latencies
from controller.report.class_service import Promise, minute_rows, phase_rows, promises

PROMISED = {"chat": Promise(1.0, 0.05, 0.02), "batch": Promise(60.0, 0.1, 0.1)}
FAST, SLOW = Latencies(2.0, ((0.1, 0.25, 10.0),)), Latencies(20.0, ((1.5, 3.0, 10.0),))


def minute(number, service, whole_looks=12, looks=12, **more):
    classes = {"chat": service, "batch": ClassService()}
    return ServiceMinute(60.0 * number, 60.0 * number + 60.0, looks, whole_looks, classes, **more)


def chat(ttft, **more):
    return ClassService(requests=10.0, finished=9.0, outcomes={"ok": 9.0, "timed_out": 1.0}, ttft=ttft, **more)


def test_a_promise_is_held_against_the_mean_of_the_phase_and_quantiles_stand_beside():
    minutes = [minute(0, chat(FAST)), minute(1, chat(SLOW)), minute(2, chat(FAST)), minute(3, chat(FAST))]
    rows = {(row.phase, row.class_id): row for row in phase_rows(minutes, PROMISED, 60.0, 180.0)}
    during = rows["during", "chat"]
    assert (during.requests, during.failed, during.heard_frac) == (20.0, 2.0, 1.0)
    assert (during.ttft.mean_s, during.ttft.is_kept) == (pytest.approx(1.1), False)
    assert during.ttft.p95_s == pytest.approx(1.5 + 1.5 * 0.9)
    assert rows["before", "chat"].ttft.is_kept is True
    assert rows["before", "chat"].ttft.mean_s == pytest.approx(0.2)
    assert [row.ttft.is_kept for row in minute_rows(minutes, PROMISED, 60.0, 180.0) if row.class_id == "chat"] == [
        True, False, True, True,
    ]  # fmt: skip


def test_a_class_without_requests_got_none_and_its_promise_is_not_judged():
    (row,) = [row for row in minute_rows([minute(0, chat(FAST))], PROMISED, 0.0, 60.0) if row.class_id == "batch"]
    assert (row.requests, row.failed, row.heard_frac) == (0.0, 0.0, 1.0)
    assert (row.ttft.mean_s, row.ttft.promised_s, row.ttft.is_kept) == (None, 60.0, None)


def test_a_minute_in_which_no_router_answered_is_missing_and_not_zero():
    silent = minute(1, ClassService(), whole_looks=0)
    rows = minute_rows([minute(0, chat(FAST)), silent], PROMISED, 0.0, 120.0)
    row = next(row for row in rows if row.class_id == "chat" and row.from_s == 60.0)
    assert (row.requests, row.failed, row.output_tokens, row.heard_frac) == (None, None, None, 0.0)
    assert row.ttft.count is None
    during = next(row for row in phase_rows([minute(0, chat(FAST)), silent], PROMISED, 0.0, 120.0))
    assert {row.class_id: row.heard_frac for row in phase_rows([minute(0, chat(FAST)), silent], PROMISED, 0.0, 120.0)}[
        "chat"
    ] == 0.5
    assert during.phase == "during"


def test_what_some_routers_told_while_another_was_silent_counts_and_is_told_as_a_part():
    rows = minute_rows([minute(0, chat(FAST), whole_looks=0)], PROMISED, 0.0, 60.0)
    assert {row.class_id: (row.requests, row.heard_frac) for row in rows} == {"chat": (10.0, 0.0), "batch": (None, 0.0)}


def test_what_was_left_out_is_not_known():
    told = minute(0, ClassService(requests=10.0), left_out=("ttft_s", "itl_s", "outcomes"))
    (row,) = [row for row in phase_rows([told], PROMISED, 0.0, 60.0) if row.class_id == "chat"]
    assert (row.requests, row.failed, row.ttft.count, row.itl.count) == (10.0, None, None, None)


def test_a_gap_between_minutes_lowers_what_is_told():
    rows = phase_rows([minute(0, chat(FAST)), minute(3, chat(FAST))], PROMISED, 0.0, 240.0)
    assert {row.heard_frac for row in rows} == {0.5}


def test_evidence_without_minutes_claims_nothing():
    assert phase_rows([], PROMISED, 0.0, 60.0) == ()
    assert minute_rows([], PROMISED, 0.0, 60.0) == ()


def test_promises_are_those_of_the_configuration_at_the_time():
    software = [{"classes": {"chat": {"ttft_slo_s": 1.0, "itl_slo_s": 0.05, "quality_budget_frac": 0.02}}}, {}]
    assert promises(software) == {"chat": PROMISED["chat"]}
    assert promises([{"wattroute": "0.1"}]) == {}
    assert promises([]) == {}
