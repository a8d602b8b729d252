"""What is told, and that just this is then delivered by the whole control on a simulated fleet."""

from dataclasses import replace
from random import Random

import pytest

from controller.lifecycle.capability import LATER_S, LEADS_S, NOW_S, SOON_S, capability
from controller.model.capability import QosCost
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.settlement.quality_budget import QualityBurn
from controller.tick import Memory, Mode, TickPolicy, decide
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT, slow_time_limit_s=0.5)
PLANNER = CvxpyPlanner(lambda: 0.0)
BUSY = {"premium": 4.0, "standard": 14.0, "flex": 8.0}
SETTLED_S = 120.0
SWAPPING_FRAC = 0.25
"""Share of the settled time for which a plan that swaps pools may leave a promise open."""


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

    def broken(self, cost):
        """Promises to the classes that the last tick could not keep, but for those the cost allows.

        Where classes may be held, the prices of promises have a plan exceed a quality budget before it holds anybody.
        """
        held = cost is QosCost.HELD
        promises = ("serve",) if held else ("serve", "quality")
        return [
            each
            for each in self.last.diagnostics.slack
            if each.promise in promises and not (held and each.subject == "flex")
        ]

    @property
    def lost(self):
        return sum(engine.lost for engine in self.fleet.engines) + self.fleet.unrouted + self.fleet.misrouted


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
    assert soon[2].events_per_day < 24.0


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
    assert rich.duration_s >= 3600.0
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
        (5, SOON_S, QosCost.HELD),
        (6, LATER_S, QosCost.NONE),
    ],
)
def test_what_is_told_is_delivered_when_it_is_called(seed, lead_s, cost):
    loop = drawn(seed)
    offer = told(loop.last.facts).at(lead_s, cost)
    fleet, lost = loop.fleet, loop.lost
    start_s = fleet.now_s + lead_s - 30.0
    event = GridEvent("e", offer.achievable_w, start_s, start_s + 30.0 + SETTLED_S, fleet.now_s, ramp_s=30.0)
    fleet.events = (event,)
    loop.run(lead_s - 30.0, tick_s=10.0 if lead_s <= SOON_S else 21.0).run(30.0)
    broken = [bool(loop.run(2.0).broken(cost)) for _ in range(round(SETTLED_S / 2.0) - 1)]
    watts = [watts for time_s, watts in fleet.watts if time_s > start_s + 30.0]
    assert sum(watts) / len(watts) <= offer.achievable_w
    assert sum(broken) <= SWAPPING_FRAC * len(broken), "a promise is broken for longer than instances are swapped"
    assert loop.lost == lost
