from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.model.grid import GridEvent
from controller.study.site.event_account import event_result
from controller.study.site.make_site import make_site
from controller.study.site.play import Played
from tests.fakes.site_cases import site_settings

CASE = make_site(site_settings(hours=2))
START_S = CASE.start_s
SHARED = GridEvent("e", 6000.0, START_S + 3600.0, START_S + 4200.0, START_S + 3000.0, ramp_s=60.0)


def played(before_w: float, within_w: float, after_w: float) -> Played:
    """Two hours by 10 s: within the event from its third interval on. Nothing waits."""
    power_w = np.full(720, before_w)
    power_w[362:420] = within_w
    power_w[420:] = after_w
    nothing = np.zeros((1, 3))
    return Played(
        site=CASE.site,
        power_w=power_w,
        pools_w=np.zeros((720, 2)),
        records=(),
        asked=nothing,
        served=nothing,
        lost=nothing,
        waiting=nothing,
        late_tokens=0.0,
        by_pool=np.zeros((1, 2)),
        queued=np.zeros((720, 1)),
        late_by=np.zeros((720, 1)),
        waits={},
    )


def test_an_event_is_judged_after_its_ramp() -> None:
    told = event_result(CASE, played(10_000.0, 5_000.0, 11_000.0), SHARED, (SHARED,))
    assert told.baseline_kw == pytest.approx(10.0)
    assert told.time_to_90pct_s == pytest.approx(30.0)
    assert (told.intervals, told.intervals_over) == (54, 0)
    assert told.delivered_kw == pytest.approx(5.0)
    assert told.rebound_peak_kw == pytest.approx(11.0)


def test_what_is_drawn_above_the_limit_is_counted_and_never_reached() -> None:
    told = event_result(CASE, played(10_000.0, 7_000.0, 10_000.0), SHARED, (SHARED,))
    assert told.time_to_90pct_s is None
    assert told.intervals_over == told.intervals == 54


def test_a_limit_above_what_was_drawn_is_not_reached_but_kept() -> None:
    told = event_result(CASE, played(5_500.0, 5_000.0, 5_500.0), SHARED, (SHARED,))
    assert told.time_to_90pct_s is None
    assert told.intervals_over == 0


def test_a_rebound_is_not_told_while_another_limit_is_in_force() -> None:
    other = dataclasses.replace(SHARED, event_id="f", start_s=START_S + 4000.0, end_s=START_S + 5000.0)
    assert event_result(CASE, played(9e3, 5e3, 9e3), SHARED, (SHARED, other)).rebound_peak_kw is None


def test_an_event_known_from_the_beginning_has_no_baseline() -> None:
    early = dataclasses.replace(SHARED, notice_s=START_S - 60.0)
    told = event_result(CASE, played(9e3, 5e3, 9e3), early, (early,))
    assert (told.baseline_kw, told.time_to_90pct_s, told.delivered_kw) == (None, None, None)
    assert told.intervals_over == 0


def with_queue(first: int, until: int, tokens: float) -> Played:
    calm = played(9e3, 5e3, 9e3)
    calm.queued[first:until] = tokens
    calm.late_by[until:] = 700.0
    return calm


def test_a_rebound_is_told_over_what_was_drawn_before() -> None:
    told = event_result(CASE, played(10_000.0, 5_000.0, 11_500.0), SHARED, (SHARED,))
    assert told.rebound_kw == pytest.approx(1.5)
    early = dataclasses.replace(SHARED, notice_s=START_S - 60.0)
    assert event_result(CASE, played(9e3, 5e3, 9e3), early, (early,)).rebound_kw is None


def test_a_rebound_is_looked_for_for_an_hour() -> None:
    late = played(10_000.0, 5_000.0, 10_000.0)
    late.power_w[700] = 14_000.0
    assert event_result(CASE, late, SHARED, (SHARED,)).rebound_peak_kw == pytest.approx(14.0)
    early = dataclasses.replace(SHARED, start_s=START_S + 1800.0, end_s=START_S + 2400.0, notice_s=START_S + 1200.0)
    assert event_result(CASE, late, early, (early,)).rebound_peak_kw == pytest.approx(10.0)


def test_a_backlog_is_told_until_it_is_gone() -> None:
    told = event_result(CASE, with_queue(370, 450, 90_000.0), SHARED, (SHARED,))
    assert told.backlog_tokens == 90_000.0
    assert told.backlog_cleared_s == pytest.approx(310.0)
    assert told.late_tokens == 700.0


def test_a_backlog_that_was_there_before_or_stays_is_told_as_such() -> None:
    stays = event_result(CASE, with_queue(370, 720, 90_000.0), SHARED, (SHARED,))
    assert stays.backlog_cleared_s is None
    before = event_result(CASE, with_queue(10, 300, 90_000.0), SHARED, (SHARED,))
    assert (before.backlog_tokens, before.backlog_cleared_s, before.late_tokens) == (0.0, 0.0, 0.0)


def test_what_is_asked_for_within_a_second_is_no_backlog() -> None:
    # 4,000 tokens/s are asked for.
    told = event_result(CASE, with_queue(370, 450, 3_900.0), SHARED, (SHARED,))
    assert (told.backlog_tokens, told.backlog_cleared_s) == (3_900.0, 0.0)


def test_a_backlog_that_is_gone_before_the_end_is_cleared_at_the_end() -> None:
    assert event_result(CASE, with_queue(370, 400, 90_000.0), SHARED, (SHARED,)).backlog_cleared_s == 0.0
