from __future__ import annotations

import dataclasses

import pytest

from controller.study.events.promises import promises_of
from controller.study.site.play import TickRecord
from tests.fakes.event_runs import run


def test_where_everything_is_served_no_promise_is_broken() -> None:
    found = promises_of(run())
    assert found.asked > 0
    assert (found.lost, found.dropped, found.flex_waiting) == (0.0, 0.0, 0.0)
    assert (found.overdrawn, found.undeclared) == ((), ())


def test_what_is_refused_above_flex_counts_and_that_of_flex_does_not() -> None:
    held = run()
    within = held.part.case.times_s >= held.part.start_s + 60.0
    held.played.late_by[within] = [5.0, 0.0, 0.0, 900.0]
    found = promises_of(held)
    assert found.dropped == pytest.approx(5.0)
    assert found.dropped_before == 0.0
    assert found.undeclared == ("serve:premium",)


@pytest.mark.parametrize(("at_s", "is_told"), [(0.0, True), (600.0, False)])
def test_a_broken_promise_is_declared_where_a_plan_told_it_before(at_s: float, is_told: bool) -> None:
    held = run()
    broken_s = held.part.start_s + 60.0
    held.played.late_by[held.part.case.times_s >= broken_s] = [5.0, 0.0, 0.0, 0.0]
    told = TickRecord((), (), (), None, None, frozenset(), frozenset({"serve:premium"}))
    calm = TickRecord((), (), (), None, None, frozenset())
    since_s = held.part.notice_s
    records = [(since_s, calm), (since_s, calm), (held.part.start_s + at_s, told)]
    found = promises_of(dataclasses.replace(held, records=records))
    assert (found.undeclared == ()) is is_told


def test_an_exceeded_quality_budget_is_told_by_class() -> None:
    held = run()
    worst = max(range(len(held.part.case.site.pools)), key=lambda k: held.part.case.site.losses[1][k])
    held.played.by_pool[1, worst] = 1e6
    found = promises_of(held)
    assert found.overdrawn == ("standard",)
    assert found.undeclared == ("quality:standard",)


@pytest.mark.parametrize(("told_after_s", "is_told"), [(300.0, True), (400.0, False)])
def test_a_budget_is_declared_where_it_was_told_before_it_was_exceeded(told_after_s: float, is_told: bool) -> None:
    held = run()
    worst = max(range(len(held.part.case.site.pools)), key=lambda k: held.part.case.site.losses[1][k])
    held.played.by_pool[1, worst] = 1e6
    start_s, since_s = held.part.start_s, held.part.notice_s
    calm = TickRecord((), (None, 0.5, None, None), (), None, None, frozenset())
    told = dataclasses.replace(calm, foreseen=frozenset({"quality:standard"}))
    over = dataclasses.replace(calm, quality_left_frac=(None, -0.1, None, None))
    records = sorted(
        [(since_s, calm), (since_s + 10.0, calm), (start_s + told_after_s, told), (start_s + 350.0, over)],
        key=lambda each: each[0],
    )
    found = promises_of(dataclasses.replace(held, records=records))
    assert (found.undeclared == ()) is is_told


@pytest.mark.parametrize(
    ("over_frac", "is_told"), [(9e-5, True), (1.1e-4, False)], ids=["still counts as kept", "counts as overdrawn"]
)
def test_a_budget_is_exceeded_from_when_on_it_counts_as_overdrawn(over_frac: float, is_told: bool) -> None:
    held = run()
    worst = max(range(len(held.part.case.site.pools)), key=lambda k: held.part.case.site.losses[1][k])
    held.played.by_pool[1, worst] = 1e6
    start_s, budget = held.part.start_s, held.part.case.site.classes[1].quality_budget_frac
    calm = TickRecord((), (None, 0.5, None, None), (), None, None, frozenset())
    touched = dataclasses.replace(calm, quality_left_frac=(None, -over_frac / budget, None, None))
    told = dataclasses.replace(calm, foreseen=frozenset({"quality:standard"}))
    over = dataclasses.replace(calm, quality_left_frac=(None, -0.1, None, None))
    times_s = (held.part.notice_s, held.part.notice_s, start_s + 100.0, start_s + 200.0, start_s + 250.0)
    records = list(zip(times_s, (calm, calm, touched, told, over), strict=True))
    found = promises_of(dataclasses.replace(held, records=records))
    assert (found.undeclared == ()) is is_told


@pytest.mark.parametrize(("left_frac", "is_told"), [(0.0, True), (None, False)], ids=["known", "not known"])
def test_a_budget_that_no_decision_saw_exceeded_was_exceeded_after_the_last(
    left_frac: float | None, is_told: bool
) -> None:
    held = run()
    worst = max(range(len(held.part.case.site.pools)), key=lambda k: held.part.case.site.losses[1][k])
    held.played.by_pool[1, worst] = 1e6
    calm = TickRecord((), (None, left_frac, None, None), (), None, None, frozenset())
    told = dataclasses.replace(calm, foreseen=frozenset({"quality:standard"}))
    times_s = (held.part.notice_s, held.part.notice_s, held.part.start_s + 200.0)
    records = list(zip(times_s, (calm, calm, told), strict=True))
    found = promises_of(dataclasses.replace(held, records=records))
    assert (found.undeclared == ()) is is_told
