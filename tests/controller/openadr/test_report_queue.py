import sqlite3

import pytest

from controller.errors import StoreError
from controller.openadr import report_queue
from controller.openadr.report_queue import KEEP_MARKS_S, KEEP_SENT_S, ReportQueue


@pytest.fixture
def queue(tmp_path):
    queue = ReportQueue(tmp_path / "q.sqlite")
    yield queue
    queue.close()


def put(queue, name="USAGE-0-0", body="{}", number=0, now_s=100.0, vtn="v"):
    return queue.put(vtn, ("e1", name, body), {"0 USAGE": number}, now_s)


def test_reports_wait_in_their_order_until_they_are_sent(queue):
    put(queue, "a")
    put(queue, "b", number=1)
    put(queue, "c", vtn="other")
    first, second = queue.waiting("v", 10)
    assert (first.name, second.name) == ("a", "b")
    queue.sent(first, "r-1", 101.0)
    assert [waiting.name for waiting in queue.waiting("v", 10)] == ["b"]
    assert queue.count("v") == 1


def test_what_is_kept_outlasts_the_process(tmp_path):
    path = tmp_path / "q.sqlite"
    first = ReportQueue(path)
    assert first.heard_s("v", "e1", 50.0) == 50.0
    put(first, "a", number=4)
    first.tried(first.waiting("v", 1)[0])
    first.close()
    second = ReportQueue(path)
    (waiting,) = second.waiting("v", 10)
    assert (waiting.name, waiting.is_tried) == ("a", True)
    assert second.mark("v", "e1", "0 USAGE") == 4
    assert second.mark("v", "e1", "1 USAGE") == -1
    assert second.heard_s("v", "e1", 90.0) == 50.0
    second.close()


def test_when_an_event_was_heard_of_is_not_that_of_another_of_its_id_or_of_a_clock_that_was_ahead(queue):
    queue.heard_s("v", "e1", 50.0)
    assert queue.heard_s("v", "e1", 90.0, since_s=50.0) == 50.0
    assert queue.heard_s("v", "e1", 100.0, since_s=60.0) == 100.0
    assert queue.heard_s("v", "e1", 200.0, since_s=60.0) == 100.0, "a second restart finds the same"
    assert queue.heard_s("v", "e1", 80.0, since_s=60.0) == 80.0
    assert queue.heard_s("v", "e1", 200.0) == 80.0


def test_a_report_that_changes_is_sent_again_under_the_vtns_id(queue):
    put(queue, body="1")
    queue.sent(queue.waiting("v", 1)[0], "r-1", 101.0)
    put(queue, body="2")
    (waiting,) = queue.waiting("v", 1)
    assert (waiting.body, waiting.report_id) == ("2", "r-1")
    assert queue.body("v", "e1", "USAGE-0-0") == "2"


def test_a_change_while_a_report_is_under_way_is_not_lost(queue):
    put(queue, body="1")
    (under_way,) = queue.waiting("v", 1)
    put(queue, body="2")
    queue.sent(under_way, "r-1", 101.0)
    assert [waiting.body for waiting in queue.waiting("v", 1)] == ["2"]


def test_it_is_bounded_and_lets_the_oldest_go(queue, monkeypatch):
    monkeypatch.setattr(report_queue, "MAX_WAITING", 3)
    gone = [put(queue, f"r{n}", number=n) for n in range(5)]
    assert gone == [0, 0, 0, 1, 1]
    assert [waiting.name for waiting in queue.waiting("v", 10)] == ["r2", "r3", "r4"]


def test_marks_outlast_the_reports_that_were_sent(queue):
    put(queue, number=7)
    queue.sent(queue.waiting("v", 1)[0], "r-1", 101.0)
    put(queue, "other", now_s=102.0 + KEEP_SENT_S, number=8)
    assert queue.body("v", "e1", "USAGE-0-0") is None
    assert queue.mark("v", "e1", "0 USAGE") == 8
    queue.heard_s("v", "old", 100.0)
    queue.put("v", ("e2", "x", "{}"), {"0 USAGE": 0}, 200.0 + 2 * KEEP_MARKS_S)
    assert queue.mark("v", "e1", "0 USAGE") == -1
    assert queue.heard_s("v", "old", 9e9) == 9e9


def test_a_vtn_that_asks_for_no_report_leaves_no_more_marks_than_of_a_while(queue):
    queue.heard_s("v", "old", 100.0)
    queue.heard_s("v", "e1", 100.0)
    put(queue, now_s=110.0, number=0)
    queue.heard_s("v", "new", 150.0 + KEEP_MARKS_S)
    assert queue.heard_s("v", "e1", 9e9) == 100.0, "a report on it is remembered"
    assert queue.heard_s("v", "old", 9e9) == 9e9


def test_nothing_of_a_report_that_cannot_be_kept_stays(queue):
    with pytest.raises(StoreError):
        queue.put("v", ("e1", "a", None), {"0 USAGE": 0}, 1.0)
    assert queue.mark("v", "e1", "0 USAGE") == -1
    put(queue, "b")
    assert queue.count("v") == 1


def test_a_file_that_is_no_queue_is_named(tmp_path):
    path = tmp_path / "q.sqlite"
    path.write_text("nonsense " * 100)
    with pytest.raises(StoreError, match=r"q\.sqlite: not usable"):
        ReportQueue(path)
    newer = tmp_path / "n.sqlite"
    db = sqlite3.connect(newer)
    db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(StoreError, match="version 9"):
        ReportQueue(newer)


def test_the_seed_of_draws_is_that_of_the_first_process(tmp_path):
    first = ReportQueue(tmp_path / "q.sqlite")
    assert first.seed("v", 11) == 11
    assert first.seed("other", 12) == 12
    put(first, now_s=2 * KEEP_MARKS_S)
    first.close()
    second = ReportQueue(tmp_path / "q.sqlite")
    assert second.seed("v", 13) == 11
    second.close()


def test_the_oldest_report_of_each_event_comes_before_the_next_ones_of_any(queue):
    for n in range(60):
        queue.put("utility", ("e-1", f"USAGE-0-{n}", "{}"), {}, 1000.0 + n)
    queue.put("utility", ("e-2", "USAGE-0-0", "{}"), {}, 1100.0)
    queue.put("market", ("e-3", "USAGE-0-0", "{}"), {}, 1100.0)
    found = [(each.event_id, each.name) for each in queue.waiting("utility", 4)]
    assert found == [("e-1", "USAGE-0-0"), ("e-2", "USAGE-0-0"), ("e-1", "USAGE-0-1"), ("e-1", "USAGE-0-2")]
