"""What is told, and that just this is then delivered by the whole control on a simulated fleet."""

from dataclasses import replace
from random import Random

import pytest

from controller.lifecycle.capability import LATER_S, LEADS_S, NOW_S, SOON_S, capability
from controller.lifecycle.shed_yields import YIELDING
from controller.model.capability import QosCost
from controller.model.grid import GridEvent, Precedence
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.settlement.quality_budget import QualityBurn
from controller.tick import Memory, Mode, TickPolicy, decide
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT, slow_time_limit_s=10.0)
PLANNER = CvxpyPlanner(lambda: 0.0)
BUSY = {"premium": 4.0, "standard": 14.0, "flex": 8.0}
SETTLED_S = 120.0
FLICKER = {"headroom": 0.02, "redundancy": 40.0}
"""Room in the engines that a tick's dispatch may lack, instances and tokens/s: the demand is estimated."""


class Loop:
    """A controller and its fleet."""

    def __init__(self, of=None, rps=None, policy=ACT):
        self.fleet = FakeFleet(of or waiting_flex(site()), dict(rps or BUSY))
        self.policy = policy
        self.memory = Memory.initial(self.fleet.site, self.fleet.now_s)
        self.last = None

    def run(self, seconds, tick_s=2.0):
        for _ in range(round(seconds / tick_s)):
            self.fleet.advance(tick_s)
            self.last = decide(self.fleet.site, self.policy, PLANNER, self.memory, self.fleet.observe())
            self.memory = self.last.memory
            self.fleet.obey(self.last)
        return self

    def call(self, limit_w, lead_s, settled_s=SETTLED_S):
        """Call a limit, and go on until its ramp, which ends at the lead, is over."""
        start_s = self.fleet.now_s + lead_s - 30.0
        event = GridEvent("e", limit_w, start_s, start_s + 30.0 + settled_s, self.fleet.now_s, ramp_s=30.0)
        self.fleet.events = (event,)
        self.run(lead_s - 30.0, tick_s=10.0 if lead_s <= SOON_S else 21.0).run(30.0)
        return start_s + 30.0

    def broken(self, cost):
        """Promises that the last tick could not keep, but for those that the cost lets yield."""
        return [each for each in self.last.diagnostics.slack if not may_yield(each, cost) and not flickers(each)]

    def mean_w(self, from_s):
        watts = [watts for time_s, watts in self.fleet.watts if time_s > from_s]
        return sum(watts) / len(watts)

    @property
    def lost(self):
        return sum(engine.lost for engine in self.fleet.engines) + self.fleet.unrouted + self.fleet.misrouted


def may_yield(slack, cost):
    return cost is QosCost.HELD and (slack.promise in YIELDING or (slack.promise, slack.subject) == ("serve", "flex"))


def flickers(slack):
    return slack.promise == "ramp" or slack.amount < FLICKER.get(slack.promise, 0.0)


def waiting_flex(whole):
    return replace(
        whole, classes=tuple(replace(cls, priority=-1) if cls.class_id == "flex" else cls for cls in whole.classes)
    )


def facts(after_s=60, **loop):
    return Loop(**loop).run(after_s).last.facts


def told(known):
    return capability(PLANNER, known, time_limit_s=5.0)


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
    soon = [known.at(SOON_S, cost) for cost in QosCost]
    assert soon[0].shed_w > 1000.0, "instances that nobody needs can sleep"
    assert soon[2].achievable_w < soon[0].achievable_w - 100.0, "who may wait can be held"
    assert soon[2].recovery_j > 0.0
    assert soon[2].events_per_day is None or soon[2].events_per_day < 24.0


def test_the_routers_alone_cannot_put_instances_to_sleep(idle):
    known = told(idle)
    assert known.at(NOW_S, QosCost.NONE).achievable_w > known.at(SOON_S, QosCost.NONE).achievable_w + 1000.0


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
    assert sure.uncertainty_w == 0.0
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


def drawn(seed):
    """A random fleet and load, with reductions of several kinds."""
    rng = Random(seed)
    whole = waiting_flex(site()) if rng.random() < 0.7 else site()
    classes = tuple(
        replace(cls, quality_window_s=rng.choice((3600.0, 86_400.0)), survives_loss=rng.random() < 0.2)
        for cls in whole.classes
    )
    rps = {name: each * rng.uniform(0.2, 1.5) for name, each in BUSY.items()}
    return Loop(replace(whole, classes=classes), rps, replace(ACT, may_stop=rng.random() < 0.5)).run(
        rng.choice((34, 44, 90))
    )


@pytest.mark.parametrize(
    ("seed", "lead_s", "cost"),
    [
        (1, NOW_S, QosCost.HELD),
        (3, SOON_S, QosCost.NONE),
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
    offer, lost = told(loop.last.facts).at(lead_s, cost), loop.lost
    assert offer.broken == ()
    settled_s = loop.call(offer.achievable_w, lead_s)
    for _ in range(round(SETTLED_S / 2.0) - 1):
        assert loop.run(2.0).broken(cost) == [], (seed, lead_s, cost)
    assert loop.mean_w(settled_s) <= offer.achievable_w
    assert loop.lost == lost


@pytest.mark.parametrize("seed", [1, 3, 7])
def test_what_is_more_than_told_for_nothing_costs_something(seed):
    """By more than the margin, which is told because it may be needed."""
    loop = drawn(seed)
    known = told(loop.last.facts)
    offer = known.at(SOON_S, QosCost.NONE)
    more_w = 0.97 * offer.expected_w
    assert known.keeping(more_w, SOON_S, SETTLED_S).cost is QosCost.HELD
    loop.call(more_w, SOON_S)
    for _ in range(10):
        assert loop.run(2.0).broken(QosCost.NONE) != []


@pytest.mark.parametrize(("seed", "share"), [(1, 0.5), (3, 0.85), (6, 0.3)])
def test_any_limit_between_two_costs_has_no_more_than_the_higher(seed, share):
    loop = drawn(seed)
    known, lost = told(loop.last.facts), loop.lost
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
    known = told(loop.run(2.0).last.facts)
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
        assert known.at(lead_s, QosCost.HELD).achievable_w == known.at(lead_s, QosCost.QUALITY).achievable_w
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
    assert {each.partition(":")[0] for each in yields} <= {"serve", *YIELDING}
