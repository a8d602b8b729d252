"""Every limit, the way back from events, and what a settlement interval still owes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.lifecycle.limits import HOLD_S, Followed, Limits, Return, follow, owed
from controller.model.grid import GridEvent, Precedence
from controller.model.observation import ClassDemand, RouterObservation
from controller.model.plan import Horizon
from controller.settlement.baseline import PowerHistory
from router.contract import ClassId
from tests.fakes.controller_parts import NOW_S, observation

EVENT = GridEvent("e", 6000.0, NOW_S - 600.0, NOW_S, NOW_S - 600.0, restore_w_per_s=20.0, baseline_w=10_000.0)
QOS = replace(EVENT, event_id="q", limit_w=4000.0, precedence=Precedence.QOS)
BACK = Return("e", 5900.0, NOW_S, 20.0, 10_000.0, Precedence.CONTRACT)


def waiting(queued):
    demand = (ClassDemand(ClassId("standard"), 1.0, 1.0, 1.0, 1.0, queued=queued),)
    return RouterObservation(NOW_S, 1, demand)


def ended(at_s=NOW_S, measured_w=5900.0, events=(), queued=0, event=EVENT, baselines_w=()):
    before = Followed(active=(event,))
    seen = replace(observation(), now_s=at_s, events=events, router=waiting(queued))
    return follow(before, seen, measured_w, baselines_w=baselines_w, order=Precedence.CONTRACT)


def test_the_most_restrictive_limit_holds_and_tells_what_yields_to_it():
    limits = Limits(8000.0, (EVENT, QOS))
    then = NOW_S - 10.0
    assert (limits.at(then), limits.order_at(then)) == (4000.0, Precedence.QOS)
    assert limits.at(then, Precedence.CONTRACT) == 6000.0
    assert (limits.at(NOW_S), limits.order_at(NOW_S)) == (8000.0, Precedence.CONTRACT)
    assert Limits(None).at(NOW_S) is None


def test_limits_that_outrank_the_classes_are_told_apart_only_where_others_are_more_restrictive():
    horizon = Horizon(NOW_S - 60.0, 60.0, 2)
    assert Limits(8000.0, (EVENT,)).firm(horizon) is None
    assert Limits(8000.0, (EVENT, QOS)).firm(horizon) == (6000.0, 8000.0)
    assert Limits(8000.0, (EVENT, QOS)).yields_first(horizon) is Precedence.QOS
    assert Limits(8000.0, (EVENT,)).yields_first(horizon) is Precedence.CONTRACT


def test_an_event_in_its_ramp_is_left_out_where_asked():
    limits = Limits(None, (EVENT,))
    assert limits.at(EVENT.start_s, ramped_by_s=EVENT.start_s + 29.0) is None
    assert limits.at(EVENT.start_s, ramped_by_s=EVENT.start_s + 30.0) == 6000.0


def test_the_site_returns_from_what_it_drew_at_the_agreed_rate_to_its_baseline():
    (back,) = ended().returns
    assert back == BACK
    limits = Limits(12_000.0, returns=(back,))
    assert [limits.at(NOW_S + s) for s in (0.0, 100.0, 205.0, 300.0)] == [5900.0, 7900.0, 10_000.0, 10_000.0]
    assert limits.is_rising(NOW_S + 204.0)
    assert not limits.is_rising(NOW_S + 206.0)


@pytest.mark.parametrize(("measured_w", "first_w"), [(5700.0, 5700.0), (5900.0, 0.97 * 6000.0), (None, 0.97 * 6000.0)])
def test_what_was_drawn_may_be_drawn_on_and_the_baseline_again_beside_what_the_plan_keeps_free(measured_w, first_w):
    seen = replace(observation(), events=(), router=waiting(3))
    told = {"baselines_w": (), "order": Precedence.CONTRACT, "margin_frac": 0.03}
    limits = Limits(None, returns=follow(Followed(active=(EVENT,)), seen, measured_w, **told).returns)
    planned_w = [0.97 * limits.at(NOW_S + s) for s in (0.0, 300.0, HOLD_S)]
    assert planned_w == pytest.approx([first_w, 10_000.0, 10_000.0])


def test_a_cancelled_event_returns_from_the_moment_it_is_no_longer_told():
    (back,) = ended(at_s=NOW_S - 300.0).returns
    assert back.since_s == NOW_S - 300.0


def test_a_controller_that_was_away_goes_on_with_the_return_where_it_would_be():
    (back,) = ended(at_s=NOW_S + 50.0, measured_w=None).returns
    assert (back.since_s, back.from_w, back.most_w(NOW_S + 50.0)) == (NOW_S, 6000.0, 7000.0)


def test_the_baseline_frozen_by_the_controller_counts_where_the_programme_told_none():
    event = replace(EVENT, baseline_w=None, start_s=NOW_S - 60.0, end_s=NOW_S + 60.0)
    seen = replace(observation(), events=(event,))
    first = follow(Followed(), seen, 5000.0, baselines_w=(("e", 9000.0),), order=Precedence.QOS)
    over = follow(first, replace(seen, now_s=NOW_S + 60.0), 5000.0, baselines_w=(), order=Precedence.QOS)
    assert [(back.top_w, back.precedence) for back in over.returns] == [(9000.0, Precedence.QOS)]


@pytest.mark.parametrize(
    ("queued", "after_s", "is_kept"),
    [(3, 300.0, True), (0, 300.0, False), (3, HOLD_S + 206, True), (0, HOLD_S + 206, False), (3, 4 * 3600.0, False)],
)
def test_what_waited_binds_until_nobody_waits_or_the_bound_has_left_the_baseline(queued, after_s, is_kept):
    assert bool(ended(at_s=NOW_S + after_s, queued=queued).returns) is is_kept


def test_what_waited_for_hours_comes_back_little_by_little():
    """The bound stands at the baseline for the hold, and then rises by 5 % in ten minutes."""
    limits, free_s = Limits(None, returns=(BACK,)), BACK.risen_s + HOLD_S
    assert [round(limits.at(free_s + s)) for s in (-1.0, 0.0, 600.0, 1200.0)] == [10_000, 10_000, 10_500, 11_000]


def test_a_return_is_told_from_limits_that_somebody_set():
    back, event = Limits(None, returns=(BACK,)), replace(EVENT, start_s=NOW_S, end_s=NOW_S + 60.0)
    assert back.is_only_returning(NOW_S)
    assert not replace(back, standing_w=20_000.0).is_only_returning(NOW_S)
    assert not replace(back, events=(event,)).is_only_returning(NOW_S)
    assert not Limits(None).is_only_returning(NOW_S)


def test_a_new_event_of_the_same_name_ends_the_return():
    again = replace(EVENT, start_s=NOW_S, end_s=NOW_S + 60.0)
    held = Followed(returns=(BACK,))
    seen = replace(observation(), events=(again,))
    assert follow(held, seen, 6000.0, baselines_w=(), order=Precedence.CONTRACT).returns == ()


def test_without_a_baseline_the_return_ends_once_its_power_has_doubled():
    back = replace(BACK, top_w=None)
    assert (back.risen_s, back.most_w(NOW_S + 10.0)) == (NOW_S + 295.0, 6100.0)
    assert back.most_w(NOW_S + 296.0) is None
    assert not back.is_over(NOW_S + 294.0, anyone_waits=False)
    assert back.is_over(NOW_S + 296.0, anyone_waits=True)


@given(st.floats(0.0, 1000.0), st.floats(0.0, 1000.0))
def test_a_return_only_rises(early_s, late_s):
    first, then = sorted((early_s, late_s))
    assert BACK.most_w(NOW_S + first) <= BACK.most_w(NOW_S + then) <= 10_200.0


def constant(watts, from_s, until_s):
    return PowerHistory(tuple((from_s + 5.0 * n, watts) for n in range(round((until_s - from_s) / 5.0))))


def test_an_interval_makes_good_what_it_has_had_too_much_and_saves_nothing_up():
    event = GridEvent("e", 1000.0, NOW_S - 530.0, NOW_S + 3000.0, 0.0, ramp_s=30.0, settlement_interval_s=300.0)
    begins_s = NOW_S - 200.0

    def owes(watts, of=event):
        return dict(owed(constant(watts, begins_s, NOW_S), (of,), NOW_S, most_frac=0.15)).get("e", 0.0)

    assert owes(1020.0) == pytest.approx(20.0 * 200.0 / 100.0)
    assert owes(900.0) == 0.0
    assert owes(2000.0) == 150.0
    assert owes(1020.0, replace(event, settlement_interval_s=None)) == 0.0
    assert owes(1020.0, replace(event, start_s=NOW_S - 20.0)) == 0.0, "the ramp is not counted"
    assert owes(1020.0, replace(event, end_s=NOW_S + 50.0)) == pytest.approx(20.0 * 200.0 / 50.0), "the last is shorter"


@pytest.mark.parametrize(("on_clock", "interval_began_s"), [(False, 100.0), (True, 40.0)])
def test_the_interval_is_that_of_the_settlement(on_clock, interval_began_s):
    """The ramp ends 20 s after a multiple of 300 s. In the last minute of the interval before, 1100 W were drawn."""
    firm_s = 1_800_000_000.0 + 20.0
    event = GridEvent("e", 1000.0, firm_s - 30.0, firm_s + 3600.0, 0.0, settlement_interval_s=300.0)
    begins_s = 1_800_000_000.0 + 600.0 if on_clock else firm_s + 600.0
    history = PowerHistory(
        (
            *constant(1100.0, begins_s - 60.0, begins_s).samples,
            *constant(1010.0, begins_s, begins_s + interval_began_s).samples,
        )
    )
    now_s = begins_s + interval_began_s
    found = owed(history, (replace(event, settles_on_clock=on_clock),), now_s, most_frac=0.15)
    assert dict(found) == pytest.approx({"e": 10.0 * interval_began_s / (300.0 - interval_began_s)})


def test_what_is_owed_is_asked_of_the_present_alone_and_beneath_the_limit_that_it_is_owed_of():
    wide, tight = (
        GridEvent(name, limit_w, NOW_S - 60.0, NOW_S + 600.0, 0.0, precedence=order)
        for name, limit_w, order in (("wide", 1000.0, Precedence.CONTRACT), ("tight", 980.0, Precedence.QOS))
    )
    horizon = Horizon(NOW_S, 60.0, 3)
    assert Limits(None, (wide,), owed=(("wide", 40.0),)).planned(horizon) == (960.0, 1000.0, 1000.0)
    assert Limits(None, (wide, tight), owed=(("wide", 10.0),)).planned(horizon) == (980.0, 980.0, 980.0)
    of_tight = Limits(None, (wide, tight), owed=(("tight", 40.0),))
    assert of_tight.planned(horizon) == (940.0, 980.0, 980.0)
    assert of_tight.planned(horizon, Precedence.CONTRACT) == (1000.0, 1000.0, 1000.0)


def eased(before, event, measured_w=5900.0, now_s=NOW_S - 100.0):
    seen = replace(observation(), now_s=now_s, events=(event,), router=waiting(0))
    return follow(before, seen, measured_w, baselines_w=(), order=Precedence.CONTRACT)


def test_a_limit_that_the_operator_raises_is_no_jump_where_the_rise_is_bounded():
    raised = replace(EVENT, limit_w=9000.0, asked_limit_w=6000.0)
    held = eased(Followed(active=(EVENT,)), raised)
    (back,) = held.returns
    assert (back.from_w, back.since_s, back.rate_w_per_s) == (5900.0, NOW_S - 100.0, 20.0)
    limits = Limits(None, (raised,), held.returns)
    assert [limits.at(NOW_S - 100.0 + s) for s in (0.0, 50.0)] == [5900.0, 6900.0]
    assert eased(held, raised, now_s=NOW_S - 99.0).returns == (back,), "it is raised once"
    lower = eased(held, EVENT, now_s=NOW_S - 50.0)
    again = eased(lower, raised, measured_w=5950.0, now_s=NOW_S - 40.0)
    assert [(each.from_w, each.since_s) for each in again.returns] == [(5950.0, NOW_S - 40.0)]
    free = replace(EVENT, restore_w_per_s=None)
    assert eased(Followed(active=(free,)), replace(raised, restore_w_per_s=None)).returns == ()
    assert eased(Followed(active=(EVENT,)), replace(EVENT, limit_w=9000.0)).returns == (), "its sender's own change"
