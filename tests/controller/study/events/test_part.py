from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.study.events.fleets import UTILISATION_FRAC
from controller.study.events.floor import floor_of
from controller.study.events.part import LEAST_LOAD, MOST_LOAD, make_part
from controller.study.events.traces import recorded
from tests.fakes.event_parts import part, short


def test_an_event_is_the_same_whatever_else_is_run() -> None:
    again = make_part(short(events=3), 2, recorded())
    other = make_part(short(), 2, recorded())
    assert again.wanted == other.wanted
    assert again.case.site == other.case.site
    np.testing.assert_array_equal(again.case.asked_per_s, other.case.asked_per_s)


def test_the_run_holds_what_comes_before_and_after_the_call() -> None:
    one, settings = part(), short()
    assert one.start_s - one.case.start_s >= settings.before_s
    assert one.notice_s - one.case.start_s >= 600.0
    end_s = one.case.start_s + len(one.case.asked_per_s) * one.case.tick_s
    assert end_s - one.end_s == pytest.approx(settings.after_s, abs=one.case.tick_s)


def test_the_load_is_a_share_of_what_the_fleet_serves() -> None:
    one = part()
    assert LEAST_LOAD <= one.load_frac <= MOST_LOAD
    busiest = max(
        (one.case.asked_per_s[at : at + 30].mean(axis=0) for at in range(0, len(one.case.asked_per_s), 30)),
        key=lambda each: float(each[:, 1:].sum()),
    )[:, 2]
    flex = (False,) * len(one.case.site.classes)
    assert floor_of(one.case.site, busiest, flex, UTILISATION_FRAC).served_w is not None
    assert floor_of(one.case.site, busiest / one.load_frac * 1.05, flex, UTILISATION_FRAC).served_w is None


def test_only_flex_may_wait_and_comes_last() -> None:
    one = part()
    assert one.flex == (False, False, False, True)
    assert [cls.may_wait for cls in one.case.site.classes] == [False, False, False, True]
    assert len(one.case.impatient) == 3


def test_a_sender_who_knows_the_days_course_foresees_the_load() -> None:
    one = part()
    asked = one.case.asked_per_s.copy()
    asked[: round((one.start_s - 600.0 - one.case.start_s) / one.case.tick_s)] *= 0.5
    changed = dataclasses.replace(one, case=dataclasses.replace(one.case, asked_per_s=asked))
    assert one.load_ratio(one.start_s) == pytest.approx(1.0)
    assert changed.load_ratio(one.start_s - 600.0) == pytest.approx(2.0 * one.load_ratio(one.start_s - 600.0))
