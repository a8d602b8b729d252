"""The machinery of the curtailment bench, without processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.bench import chats, curtail
from tests.fakes.fake_fleet import site

DOCUMENT: dict[str, Any] = {
    "site": {"pue": 1.5},
    "router": {"port": 1, "admin_port": 2},
    "controller": {"port": 3},
    "emulator": {"control_port": 4},
}


class Played:
    """A site that falls from 1 kW to its limit, and a router that obeys a new table, a second after the call."""

    def __init__(self) -> None:
        self.now_s, self.called_s = 100.0, None

    def after_s(self) -> float:
        return -1.0 if self.called_s is None else self.now_s - self.called_s

    def get(self, url: str) -> tuple[int, bytes]:
        follows = self.after_s() >= 1.0
        if url.endswith("/state"):
            issued_s = self.called_s + 0.5 if follows and self.called_s is not None else 1.0
            return 200, json.dumps({"table": {"issued_at_s": issued_s}}).encode()
        watts = 600.0 / 1.5 if follows else 1000.0 / 1.5
        return 200, f'DCGM_FI_DEV_POWER_USAGE{{UUID="a"}} {watts}\n'.encode()

    def post(self, url: str, body: dict[str, Any]) -> tuple[int, bytes]:
        limit_w = 1000.0 - body["below_present_w"]
        if body.get("dry_run"):
            return 200, json.dumps({"limit_w": limit_w, "achievable_w": 750.0}).encode()
        self.called_s = self.now_s
        return 201, json.dumps({"limit_w": limit_w}).encode()

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_the_times_are_those_of_the_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    played = Played()
    for name in ("get", "post", "sleep"):
        monkeypatch.setattr(curtail, name, getattr(played, name))
    for name in ("monotonic", "time"):
        monkeypatch.setattr(curtail, name, lambda: played.now_s)
    found = curtail.follow(curtail.System(tmp_path, DOCUMENT), 0)
    assert (found["before_w"], found["limit_w"]) == (1000, 700)
    assert found["table_s"] == pytest.approx(1.0, abs=0.05)
    assert (found["told_least_w"], found["last_w"]) == (750, 600)
    assert 1.0 < found["to_90_s"] < found["to_full_s"] < 1.3 + curtail.MEAN_S


def test_a_call_that_is_refused_ends_the_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    played = Played()
    monkeypatch.setattr(curtail, "get", played.get)
    monkeypatch.setattr(curtail, "post", lambda *_: (409, b"full"))
    with pytest.raises(RuntimeError, match="409: full"):
        curtail.follow(curtail.System(tmp_path, DOCUMENT), 0)


def test_a_row_of_the_table_tells_what_failed_and_why() -> None:
    row = {
        "class": "flex",
        "sent": "after",
        "chats": 3,
        "whole": 1,
        "first_token_s": {"p50": 0.1, "p99": None},
        "failed": {"503 wait_too_long, held": 2},
    }
    assert curtail.table([row]).splitlines()[2:] == ["| flex | after | 3 | 1 | 0.1 | – | 2 x 503 wait_too_long, held |"]


def test_each_call_is_judged_by_the_chats_of_its_time() -> None:
    chat = chats.Chat("standard", 100, 200, stream=True)
    refused = chats.Ended(chat, 110.0, 140.0, None, 503, "wait_too_long", 1.0)
    events = [{"posted_s": 100.0, "limit_w": limit_w} for limit_w in (1.0, 1e6)]
    deep, mild = (curtail.judged(site(), [event], [refused]) for event in events)
    assert [told["events"][0]["can_be_met"] for told in (deep, mild)] == [False, True]
    assert [told["requests"]["defects"] for told in (deep, mild)] == [0, 1]
    assert deep["events"][0]["floor_w"] > 1.0
