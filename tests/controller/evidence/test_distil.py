import hashlib
import json

from controller.evidence import distil
from controller.evidence.distil import MAX_BYTES, carried, tick_of
from controller.store.ledger import canonical
from tests.fakes.played_event import START_S, decision, event


def test_it_says_what_was_known_decided_and_done():
    tick = tick_of(decision(START_S, (event(),), 2), {"ttft_p99_s": 0.51234567}, {})
    assert tick["instances"] == {"fp8": {"serving": 1, "sleeping": 1}}
    assert tick["classes"]["premium"] == {
        "requests": 20.0, "finished": 18.0, "refused": 1.0, "queued": 0, "in_flight": 3, "output_tokens": 1800.0,
        "demand_tokens_per_s": 90.0, "quality_burnt_frac": 0.002,
    }  # fmt: skip
    assert tick["commands"] == ["sleep fp8-1: limit"]
    assert tick["decided"]["plan_origin"] == "milp"
    assert tick["measured"]["modelled_w"] == 3950.12
    assert tick["latency"] == {"ttft_p99_s": 0.512346}
    assert tick["plan"]["pools"] == {"fp8": {"on": [2], "sleeping": [0]}}


def test_its_digest_is_that_of_the_record_in_the_rolling_ledger():
    record = decision(START_S, (event(),))
    assert tick_of(record, {}, {})["sha256"] == hashlib.sha256(canonical(record, "").encode()).hexdigest()


def test_plan_and_table_are_told_where_they_change():
    first = tick_of(decision(START_S, (), 1), {}, {})
    same = tick_of(decision(START_S + 5, (), 2), {}, carried(first, {}))
    assert "plan" in first
    assert "table" in first
    assert "plan" not in same
    assert "table" not in same
    other = decision(START_S + 10, (), 3)
    other["commands"]["table"]["weights"] = [["premium", 0.5]]
    assert tick_of(other, {}, carried(same, carried(first, {})))["table"]["weights"] == [["premium", 0.5]]


def test_a_router_that_is_missing_leaves_the_budgets():
    record = decision(START_S, ())
    record["observation"]["router"] = {"source": "routers", "reason": "gone", "since_s": 1.0}
    assert tick_of(record, {}, {})["classes"] == {"premium": {"demand_tokens_per_s": 90.0, "quality_burnt_frac": 0.0}}


def test_it_is_bounded_and_says_what_was_left_out():
    record = decision(START_S, ())
    record["commands"]["table"]["weights"] = [["c" * 100, 1.0]] * 2000
    tick = tick_of(record, {}, {})
    assert len(json.dumps(tick)) <= MAX_BYTES
    assert tick["left_out"] == ["table"]
    assert (
        len(distil.tick_of({**decision(START_S, ()), "actions": ["x"] * 1000}, {}, {})["actions"]) == distil.MAX_LINES
    )
