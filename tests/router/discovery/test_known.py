"""What is known of a pool, since when, and what is said of it."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from router.discovery.endpoint import Endpoint, Found
from router.discovery.known import Known


class Told:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.changes = 0
        self.known = self.another()

    def another(self) -> Known:
        return Known("fast", "kubernetes", self.change, lambda: self.now_s)

    def change(self) -> None:
        self.changes += 1


def found(*names: str, draining: int = 0) -> Found:
    return Found(tuple(Endpoint(name, f"10.0.0.{n}", 8000) for n, name in enumerate(names)), draining=draining)


def test_nothing_is_known_before_it_was_told() -> None:
    view = Told().known.view()
    assert (view.told, view.age_s, view.failures, view.error) == (False, None, 0, None)


def test_a_first_list_is_a_change_even_where_it_is_empty() -> None:
    told = Told()
    told.known.told(found())
    assert (told.changes, told.known.view().told) == (1, True)


def test_only_engines_that_take_requests_are_a_change() -> None:
    told = Told()
    told.known.told(found("a", "b"))
    told.known.told(found("a", "b", draining=2))
    assert told.changes == 1
    assert told.known.view().endpoints == {"ready": 2, "draining": 2, "unready": 0, "left_out": 0}
    told.known.told(found("a"))
    assert told.changes == 2


def test_the_age_is_since_it_was_last_confirmed_and_a_failure_keeps_what_is_known() -> None:
    told = Told()
    told.known.told(found("a"))
    told.now_s += 30
    told.known.failed("no answer")
    told.now_s += 5
    view = told.known.view()
    assert (view.age_s, view.failures, view.error, view.endpoints["ready"]) == (35.0, 1, "no answer", 1)
    told.known.heard()
    view = told.known.view()
    assert (view.age_s, view.failures, view.error) == (0.0, 1, None)
    assert told.changes == 1


def test_changes_and_failures_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    with caplog.at_level(logging.INFO):
        told.known.told(found("a", "b"))
        told.known.told(found("a", "b"))
        told.known.failed("no answer")
        told.known.failed("no answer")
        told.known.told(found("a", "c"))
        told.known.leave_out(("x is bad",))
        told.known.leave_out(("x is bad",))
    assert [record.message for record in caplog.records] == [
        "discovery: instances changed",
        "discovery of instances fails",
        "discovery answers again",
        "discovery: instances changed",
        "discovery: engines left out",
    ]
    last = caplog.records[3].__dict__
    assert (last["added"], last["removed"], last["ready"]) == ("c", "b", 2)


def test_many_names_are_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Told().known.told(found(*(f"p-{n:02}" for n in range(13))))
    assert caplog.records[0].__dict__["added"].endswith("p-09 and 3 more")


def test_engines_left_out_are_counted_apart() -> None:
    told = Told()
    told.known.told(found("a", "b"))
    told.known.leave_out(("b is an instance of another pool already",))
    view = told.known.view()
    assert (view.endpoints["ready"], view.endpoints["left_out"]) == (1, 1)
    assert view.problems == ("b is an instance of another pool already",)


def test_engines_that_the_source_left_out_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    cut = replace(found("a", "b"), problems=("514 addresses; the first 512 are used",), left_out=2)
    told.known.told(cut)
    told.known.told(cut)
    told.known.leave_out(("b is an instance of another pool already",))
    view = told.known.view()
    assert (view.endpoints["ready"], view.endpoints["left_out"]) == (1, 3)
    assert view.problems == (*cut.problems, "b is an instance of another pool already")
    said = [record.__dict__["reasons"] for record in caplog.records if record.message == "discovery: engines left out"]
    assert said == [*cut.problems, "b is an instance of another pool already"]


def test_another_source_goes_by_what_the_old_one_told() -> None:
    told = Told()
    told.known.told(found("a"))
    told.now_s += 7
    new = told.another()
    new.follows(told.known)
    assert (new.found, new.view().age_s) == (found("a"), 7.0)
