"""One event of each class of notice, on a simulated site under the service's own decisions.

Nothing is curtailed before the start; what the event needs is brought up within the time of preparation and no sooner;
the limit is met on the meter by the end of the ramp and until the end; the site returns at the agreed rate.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest

from controller.model.grid import GridEvent
from tests.fakes.noticed import (
    CALM_S,
    FAR_S,
    LASTS_S,
    NEAR_S,
    OUTPUT_TOKENS,
    POLICY,
    PREPARE_S,
    RAMP_S,
    RESTORE_W_PER_S,
    Noticed,
)

NOTICES_S = {"at once": 0.0, "10 min": 600.0, "30 min": 1800.0, "2 h": 7200.0, "day ahead": 86_400.0}
IN_TIME = [name for name, notice_s in NOTICES_S.items() if notice_s >= PREPARE_S]
BF16, FP8 = 0, 1


@cache
def calm() -> Noticed:
    """A site whose controller has found its instances: BF16 alone."""
    site = Noticed()
    site.run(site.now_s + 240.0, CALM_S)
    assert site.count() == (3, 0)
    return site


def settled(**changes) -> Noticed:
    """Another of it, under a policy that differs."""
    site = copy.deepcopy(calm())
    site.policy = replace(POLICY, **changes)
    return site


@cache
def played(name: str) -> tuple[Noticed, GridEvent]:
    site = settled()
    event = site.called(NOTICES_S[name])
    site.run(event.start_s + RAMP_S + 10.0).run(event.end_s, CALM_S).run(event.end_s + 500.0, CALM_S)
    return site, event


def within(series, from_s, until_s):
    return [value for time_s, value in series if from_s < time_s <= until_s]


@pytest.mark.parametrize("name", NOTICES_S)
def test_the_limit_is_met_on_the_meter_by_the_end_of_the_ramp_and_kept(name):
    site, event = played(name)
    firm = within(site.watts, event.start_s + RAMP_S + NEAR_S, event.end_s)
    assert max(firm) <= event.limit_w
    assert min(firm) > 0.5 * event.limit_w


@pytest.mark.parametrize("name", NOTICES_S)
def test_nothing_is_curtailed_before_the_start(name):
    site, event = played(name)
    early = within(site.watts, event.notice_s, event.start_s)
    assert min(early, default=event.baseline_w) >= 0.99 * event.baseline_w
    limits = [d.diagnostics.limit_w for time_s, d in site.decisions if event.notice_s <= time_s < event.start_s]
    assert set(limits) <= {None}


@pytest.mark.parametrize("name", IN_TIME)
def test_what_the_event_needs_is_brought_up_in_the_time_of_preparation_and_no_sooner(name):
    site, event = played(name)
    sooner = within(site.serving, event.notice_s, event.start_s - PREPARE_S - CALM_S)
    assert set(sooner) <= {(3, 0)}
    by_start = within(site.serving, event.start_s - PREPARE_S, event.start_s - NEAR_S)[-1]
    assert by_start[BF16] == 3, "nobody goes before the start"
    assert by_start[FP8] >= 1
    prepared_w = within(site.watts, event.start_s - PREPARE_S, event.start_s)
    assert max(prepared_w) <= 1.05 * event.baseline_w, "who only stands by draws little"


def test_without_notice_what_it_needs_comes_after_the_start():
    site, event = played("at once")
    assert within(site.serving, event.start_s - 30.0, event.start_s)[-1] == (3, 0)
    assert within(site.serving, event.start_s, event.end_s)[-1][FP8] >= 1


@pytest.mark.parametrize("name", IN_TIME)
def test_who_was_prepared_follows_in_seconds_and_refuses_nobody(name):
    site, event = played(name)
    assert within(site.refused, 0.0, event.end_s)[-1] == 0.0
    reached = next(time_s for time_s, watts in site.watts if time_s > event.start_s and watts <= event.limit_w)
    assert reached <= event.start_s + 20.0


@pytest.mark.parametrize("name", NOTICES_S)
def test_the_site_returns_at_the_agreed_rate_and_without_a_rebound(name):
    site, event = played(name)
    ended_w = within(site.watts, event.end_s - 30.0, event.end_s)[-1]
    for time_s, watts in site.watts:
        since_s = time_s - event.end_s
        if since_s > 0.0 and ended_w + RESTORE_W_PER_S * since_s < event.baseline_w:
            assert watts <= (ended_w + RESTORE_W_PER_S * since_s) * 1.03
    back = within(site.watts, event.end_s, event.end_s + 500.0)
    means = [sum(back[i : i + 30]) / 30 for i in range(len(back) - 29)]
    assert max(means) <= 1.005 * event.baseline_w, "no five minutes take more than before"
    assert max(back) <= 1.1 * event.baseline_w, "an instance is exchanged for another while both draw"
    assert back[-1] == pytest.approx(event.baseline_w, rel=0.01)


@pytest.mark.parametrize("name", IN_TIME)
def test_nobody_yields_as_the_event_ends(name):
    site, event = played(name)
    ended = [d for time_s, d in site.decisions if event.end_s <= time_s]
    unserved = [each.amount for d in ended for each in d.diagnostics.slack if each.promise == "serve"]
    assert max(unserved, default=0.0) < 0.02 * OUTPUT_TOKENS * sum(site.rps), "tokens/s"


@pytest.mark.parametrize("before_s", [100.0, 2.0])
def test_an_event_that_is_cancelled_while_it_is_prepared_for_does_no_harm(before_s):
    site = settled()
    start_s = site.now_s + 600.0
    before_w = site.mean_w(site.now_s - 60.0, site.now_s)
    site.events = (GridEvent("e", 0.8 * before_w, start_s, start_s + LASTS_S, site.now_s, RAMP_S),)
    site.run(start_s - PREPARE_S, FAR_S).run(start_s - before_s, CALM_S)
    assert site.count()[FP8] >= 1, "it was prepared for"
    cancelled_s, site.events = site.now_s, ()
    site.run(cancelled_s + 200.0, CALM_S)
    assert site.count() == (3, 0)
    assert {d.diagnostics.limit_w for _, d in site.decisions} == {None}
    watts = within(site.watts, start_s - 600.0, site.now_s)
    assert max(watts) <= 1.1 * before_w
    assert min(watts) >= 0.99 * before_w
    assert site.watts[-1][1] == pytest.approx(before_w, rel=0.005)
    assert site.refused[-1][1] == 0.0


@pytest.mark.parametrize(("of_plan_s", "own_s"), [(240.0, None), (40.0, 240.0), (0.0, None), (240.0, 0.0)])
def test_preparation_begins_as_long_before_as_the_programme_says_or_else_the_plan(of_plan_s, own_s):
    """By then all is begun; a plan may have the first ones up within its two intervals before the limit's."""
    site = settled(prepare_s=of_plan_s)
    start_s, before_w = site.now_s + 400.0, site.watts[-1][1]
    event = GridEvent("e", 0.8 * before_w, start_s, start_s + LASTS_S, site.now_s, RAMP_S, prepare_s=own_s)
    site.events = (event,)
    site.run(start_s - 300.0, FAR_S).run(start_s, CALM_S)
    began_s = next(time_s for time_s, d in site.decisions if d.commands.instances and time_s >= event.notice_s)
    prepare_s = of_plan_s if own_s is None else own_s
    earliest_s = start_s - max(prepare_s, 2.0 * POLICY.step_s)
    assert earliest_s <= began_s
    if prepare_s > 2.0 * POLICY.step_s:
        assert began_s <= start_s - prepare_s + CALM_S


@pytest.mark.parametrize("ramp_w_per_s", [None, 1.0, 25.0])
def test_a_preparation_is_no_steeper_than_one_instance_within_an_interval(ramp_w_per_s):
    site = settled(ramp_up_w_per_s=ramp_w_per_s)
    start_s, before_w = site.now_s + 200.0, site.watts[-1][1]
    site.events = (GridEvent("e", 0.7 * before_w, start_s, start_s + LASTS_S, site.now_s, RAMP_S),)
    site.run(start_s - NEAR_S, CALM_S)
    assert site.count()[FP8] > 0
    fp8 = site.of.pools[FP8].curves
    one_w = site.of.pue * (fp8.p0_w - fp8.sleeping_w)
    prepared = [watts for time_s, watts in site.watts if time_s > start_s - 200.0]
    assert max(prepared) <= before_w + one_w * (1 if ramp_w_per_s else 2)
