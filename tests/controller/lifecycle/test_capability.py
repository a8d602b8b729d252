"""What is told, and that just this is then delivered by the whole control on a simulated fleet."""

import math
from dataclasses import replace

import pytest

from controller.lifecycle.capability import LATER_S, NOW_S, SOON_S
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.shed_search import SPARE_FRAC
from controller.lifecycle.shed_yields import ROOM
from controller.model.capability import QosCost
from controller.model.grid import Precedence
from controller.settlement.quality_budget import QualityBurn
from tests.fakes.called_fleet import ACT, SETTLED_S, CalledFleet, drawn, told, waiting_flex
from tests.fakes.fake_fleet import site

LEADS_S = (NOW_S, SOON_S, LATER_S)


def facts(after_s=60, **loop):
    return CalledFleet(**loop).run(after_s).facts


@pytest.fixture(scope="module")
def idle():
    """Known demand, and instances that are not needed but still serve."""
    return facts(34)


def saving(known):
    """With a window in which nothing was lost."""
    burns = tuple(QualityBurn.empty(c.class_id, 86_400.0).with_tokens(known.now_s, 1e8, 0.0) for c in known.classes)
    return replace(known, burns=burns)


def test_every_lead_has_every_cost_and_more_of_either_sheds_no_less(idle):
    known = told(saving(idle))
    assert [(o.lead_s, o.cost) for o in known.offers] == [(lead, cost) for lead in LEADS_S for cost in QosCost]
    for cost in QosCost:
        watts = [known.at(lead_s, cost).achievable_w for lead_s in LEADS_S]
        assert watts == sorted(watts, reverse=True)
    for lead_s in LEADS_S:
        watts = [known.at(lead_s, cost).achievable_w for cost in QosCost]
        assert watts == sorted(watts, reverse=True)
    soon = {cost: known.at(SOON_S, cost) for cost in QosCost}
    assert soon[QosCost.NONE].shed_w > 1000.0, "instances that nobody needs can sleep"
    for cost in (QosCost.WAITING, QosCost.HELD):
        assert soon[cost].achievable_w < soon[QosCost.NONE].achievable_w - 100.0, "who may wait can be held"
        assert soon[cost].recovery_j > 0.0
        assert soon[cost].events_per_day is None or soon[cost].events_per_day < 24.0


def test_who_may_wait_does_so_before_any_quality_budget_is_exceeded():
    known = told(drawn(3).facts)
    waiting, held = (known.at(SOON_S, cost) for cost in (QosCost.WAITING, QosCost.HELD))
    assert held.achievable_w < waiting.achievable_w - 500.0
    assert "serve:flex" in waiting.yields
    assert not any(each.startswith("quality:") for each in waiting.yields)
    assert any(each.startswith("quality:") for each in held.yields)
    between_w = 0.5 * (held.achievable_w + waiting.achievable_w)
    assert known.keeping(between_w, SOON_S, SETTLED_S).cost is QosCost.HELD
    assert known.keeping(waiting.achievable_w, SOON_S, SETTLED_S).cost is QosCost.WAITING


def test_without_notice_whoever_is_not_needed_sleeps_within_half_a_minute(idle):
    known = told(idle)
    at_once = known.at(NOW_S, QosCost.NONE)
    assert at_once.shed_w > 10_000.0
    assert at_once.achievable_w < 1.05 * known.at(SOON_S, QosCost.NONE).achievable_w


def test_nobody_wakes_without_notice_in_the_stead_of_those_that_go():
    """One of those that sleep would draw less than those that serve, once it is up."""
    known = told(drawn(1).facts)
    soon_w, at_once_w = (known.at(lead_s, QosCost.HELD).achievable_w for lead_s in (SOON_S, NOW_S))
    assert at_once_w > soon_w + 100.0


@pytest.mark.parametrize(("gone_s", "lead_s"), [(8.0, 30.0), (31.0, 60.0), (200.0, 210.0)])
def test_where_answers_take_long_it_is_said_by_when_who_answers_them_sleeps(idle, gone_s, lead_s):
    known = told(replace(idle, gone_s=(1.0, gone_s, gone_s)))
    assert known.leads_s == (lead_s, SOON_S, LATER_S)
    assert known.at(lead_s, QosCost.NONE).shed_w > 10_000.0
    assert known.at(lead_s - 1.0, QosCost.NONE) is None


def test_drains_that_take_longer_than_ten_minutes_are_not_waited_for(idle):
    slow, fast = told(replace(idle, gone_s=(1000.0,) * 3)), told(idle)
    for lead_s in (570.0, SOON_S):
        assert slow.at(lead_s, QosCost.NONE).achievable_w > fast.at(lead_s, QosCost.NONE).achievable_w + 10_000.0
    assert slow.at(LATER_S, QosCost.NONE).achievable_w == fast.at(LATER_S, QosCost.NONE).achievable_w


def test_who_comes_up_draws_and_does_not_serve_yet(idle):
    coming = told(replace(idle, coming_s=((), (math.inf,), ())))
    more_w = coming.at(NOW_S, QosCost.NONE).expected_w - told(idle).at(NOW_S, QosCost.NONE).expected_w
    assert more_w >= 0.5 * idle.data.sites[0].pue * idle.data.pools[1].p0_w


def test_what_costs_nothing_has_no_end_and_nothing_to_make_good(idle):
    offer = told(idle).at(SOON_S, QosCost.NONE)
    assert (offer.duration_s, offer.recovery_s, offer.recovery_j, offer.events_per_day) == (None, 0.0, 0.0, None)


def test_saved_quality_sheds_more_for_a_while(idle):
    burnt = replace(idle, burns=tuple(replace(burn, slots=()) for burn in idle.burns))
    dear = replace(idle.data, quality_loss_frac=((0.0, 0.003, 0.012),) * 3)
    poor, rich = (told(replace(each, data=dear)).at(SOON_S, QosCost.QUALITY) for each in (burnt, saving(idle)))
    assert rich.achievable_w < poor.achievable_w - 50.0
    assert poor.duration_s is None
    assert rich.duration_s > 3600.0 / 6.0
    assert rich.recovery_s > 0.0


def test_the_margin_of_the_control_is_the_pessimistic_end(idle):
    sure, doubtful = (told(replace(idle, margin_frac=each)).at(SOON_S, QosCost.NONE) for each in (0.0, 0.1))
    assert sure.uncertainty_w == pytest.approx(SPARE_FRAC * sure.expected_w)
    assert doubtful.achievable_w == pytest.approx(sure.achievable_w / 0.9)
    curves = told(replace(idle, doubts_w=(50.0, 50.0, 50.0))).at(SOON_S, QosCost.NONE)
    assert curves.uncertainty_w > doubtful.uncertainty_w * 0.1


def test_nothing_below_what_is_drawn_is_no_reduction_and_never_negative(idle):
    assert {offer.shed_w for offer in told(replace(idle, measured_w=100.0)).offers} == {0.0}


def test_missing_is_not_zero(idle):
    blind = told(replace(idle, measured_w=None))
    assert (blind.drawn_w, blind.offers, blind.unknown) == (None, (), "what the site draws is not measured")


@pytest.mark.parametrize(
    ("after_s", "policy", "reason"),
    [(10, ACT, "the demand is not known"), (60, TickPolicy(mode=Mode.OBSERVE), "the controller does not act")],
)
def test_who_cannot_act_or_does_not_know_promises_nothing(after_s, policy, reason):
    known = told(facts(after_s, policy=policy))
    assert known.offers == ()
    assert reason in known.unknown


def test_too_much_demand_is_told_and_not_promised_away(idle):
    heavy = replace(idle, present=tuple(100.0 * each for each in idle.present))
    offer = told(heavy).at(SOON_S, QosCost.NONE)
    assert (offer.shed_w, any(each.startswith("serve:") for each in offer.broken)) == (0.0, True)


@pytest.mark.parametrize(
    ("seed", "lead_s", "cost"),
    [
        (1, NOW_S, QosCost.WAITING),
        (2, NOW_S, QosCost.HELD),
        (3, NOW_S, QosCost.WAITING),
        (4, NOW_S, QosCost.WAITING),
        (6, NOW_S, QosCost.HELD),
        (7, NOW_S, QosCost.NONE),
        (7, NOW_S, QosCost.HELD),
        (12, NOW_S, QosCost.WAITING),
        (3, SOON_S, QosCost.NONE),
        (3, SOON_S, QosCost.WAITING),
        (3, SOON_S, QosCost.HELD),
        (5, SOON_S, QosCost.HELD),
        (6, NOW_S, QosCost.NONE),
        (6, SOON_S, QosCost.HELD),
        (6, LATER_S, QosCost.NONE),
        (7, SOON_S, QosCost.NONE),
        (10, SOON_S, QosCost.HELD),
    ],
)
def test_what_is_told_is_delivered_in_time_at_no_more_than_the_cost(seed, lead_s, cost):
    loop = drawn(seed)
    offer, lost = told(loop.facts).at(lead_s, cost), loop.lost
    assert offer.broken == ()
    settled_s = loop.call(offer.achievable_w, lead_s)
    for _ in range(round(SETTLED_S / 2.0) - 1):
        assert loop.run(2.0).broken(cost) == [], (seed, lead_s, cost)
    assert 0.9 * offer.achievable_w <= loop.mean_w(settled_s) <= offer.achievable_w
    assert loop.lost == lost


@pytest.mark.parametrize("seed", [1, 3, 7])
def test_what_is_more_than_told_for_nothing_costs_something(seed):
    """By more than the margin, which is told because it may be needed."""
    loop = drawn(seed)
    known = told(loop.facts)
    offer = known.at(SOON_S, QosCost.NONE)
    more_w = 0.97 * offer.expected_w
    assert known.keeping(more_w, SOON_S, SETTLED_S).cost.gives_way
    loop.call(more_w, SOON_S)
    for _ in range(10):
        assert loop.run(2.0).broken(QosCost.NONE) != []


@pytest.mark.parametrize(
    ("seed", "cost"), [(3, QosCost.WAITING), (5, QosCost.WAITING), (7, QosCost.HELD), (10, QosCost.NONE)]
)
def test_five_percent_more_than_told_without_notice_costs_more(seed, cost):
    """So that what is told is not just safe: as much as there is."""
    loop = drawn(seed)
    offer = told(loop.facts).at(NOW_S, cost)
    loop.call(0.95 * offer.achievable_w, NOW_S)
    assert any(loop.run(2.0).broken(cost) != [] for _ in range(10))


@pytest.mark.parametrize(("seed", "share"), [(1, 0.5), (3, 0.85), (6, 0.3)])
def test_any_limit_between_two_costs_has_no_more_than_the_higher(seed, share):
    loop = drawn(seed)
    known, lost = told(loop.facts), loop.lost
    dear, cheap = (known.at(SOON_S, cost).achievable_w for cost in (QosCost.HELD, QosCost.QUALITY))
    limit_w = dear + share * (cheap - dear)
    settled_s = loop.call(limit_w, SOON_S)
    for _ in range(30):
        assert loop.run(2.0).broken(QosCost.HELD) == []
    assert loop.mean_w(settled_s) <= limit_w
    assert loop.lost == lost


def test_what_rests_on_saved_quality_lasts_about_as_long_as_told():
    loop = drawn(3)
    saved = tuple(burn.with_tokens(loop.fleet.now_s, 6e6, 0.0) for burn in loop.memory.burns)
    loop.memory = replace(loop.memory, burns=saved)
    known = told(loop.run(2.0).facts)
    offer = known.at(SOON_S, QosCost.QUALITY)
    assert offer.achievable_w < known.at(SOON_S, QosCost.NONE).achievable_w - 100.0
    assert 600.0 < offer.duration_s < 3600.0, "a plan spends more than it must where that saves energy"
    loop.call(offer.achievable_w, NOW_S, settled_s=1e5)
    for _ in range(round((0.9 * offer.duration_s - 60.0) / 20.0)):
        loop.run(20.0, tick_s=20.0)
        assert [each for each in loop.broken(QosCost.QUALITY) if each.promise in ("serve", "quality", "limit")] == []


def test_where_limits_yield_to_the_classes_nobody_is_told_to_be_held(idle):
    known = told(replace(idle, order=Precedence.QOS))
    for lead_s in LEADS_S:
        for cost in (QosCost.WAITING, QosCost.HELD):
            assert known.at(lead_s, cost).achievable_w == known.at(lead_s, QosCost.QUALITY).achievable_w
    assert known.keeping(known.at(SOON_S, QosCost.QUALITY).achievable_w - 1.0, SOON_S, 60.0) is None


def test_who_may_wait_is_told_to_be_held_even_if_worth_as_much_as_others():
    whole = waiting_flex(site())
    alike = replace(whole, classes=tuple(replace(cls, serve_usd_per_mtoken=1000.0) for cls in whole.classes))
    yields = told(facts(60, of=alike)).at(SOON_S, QosCost.HELD).yields
    assert [each for each in yields if each.startswith("serve:")] == ["serve:flex"]


def test_what_yields_is_told_by_name(idle):
    known = told(idle)
    assert known.at(SOON_S, QosCost.NONE).yields == ()
    yields = known.at(SOON_S, QosCost.HELD).yields
    assert "serve:flex" in yields
    assert {each.partition(":")[0] for each in yields} <= {"serve", "quality", *ROOM}
