"""Values survive a file, and a later run takes the place of what it measured anew."""

from __future__ import annotations

import json

from tests.bench.results import Results, Spread


def test_results_survive_a_file() -> None:
    results = Results(about={"date": "2026-11-21"})
    results.add("nginx", plain_cpu_us=20.0)
    results.add("nginx", plain_cpu_us=22.0)
    results.note("litellm", "not measured: absent")
    assert Results.from_json(json.loads(json.dumps(results.as_json()))) == results


def test_a_note_is_kept_once() -> None:
    results = Results()
    for _ in range(3):
        results.note("smg", "left 1 processes behind")
    assert results.notes == {"smg": ["left 1 processes behind"]}


def test_a_later_run_replaces_what_it_measured() -> None:
    first = Results({"ours": {"a": [1.0], "b": [2.0]}}, {"ours": ["old"]}, {"date": "d1", "command": "make bench"})
    second = Results(
        {"ours": {"b": [3.0, 4.0]}, "nginx": {"a": [5.0]}}, {"ours": ["new"]}, {"date": "d2", "command": "x"}
    )
    both = first.overlaid(second)
    assert both.values == {"ours": {"a": [1.0], "b": [3.0, 4.0]}, "nginx": {"a": [5.0]}}
    assert both.notes == {"ours": ["old", "new"]}
    assert both.about == {"date": "d1", "command": "make bench", "then, d2": "x"}
    assert first.values["ours"]["b"] == [2.0]


def test_spread_of_what_is_absent_is_none() -> None:
    results = Results()
    results.add("ours", a=1.0)
    assert results.spread("ours", "b") is None
    assert results.spread("theirs", "a") is None
    assert results.spread("ours", "a") == Spread(1.0, 1.0, 1.0)
