"""A controller and its simulated fleet, of which just that is called which is told."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from controller.lifecycle.capability import SOON_S, Facts, capability
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.shed_yields import ROOM
from controller.model.capability import Capability, QosCost
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.plan import Slack
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import Decision, Memory, decide
from tests.fakes.fake_fleet import FakeFleet, site

ACT = TickPolicy(mode=Mode.ACT, slow_time_limit_s=10.0)
PLANNER = CvxpyPlanner(lambda: 0.0)
BUSY = {"premium": 4.0, "standard": 14.0, "flex": 8.0}
SETTLED_S, RAMP_S = 120.0, 30.0
FLICKER = {"headroom": 0.02, "redundancy": 40.0}
"""Room in the engines that a tick's dispatch may lack, instances and tokens/s: the demand is estimated."""


class CalledFleet:
    """The loop of ticks."""

    def __init__(self, of: Site | None = None, rps: dict[str, float] | None = None, policy: TickPolicy = ACT) -> None:
        self.fleet = FakeFleet(of or waiting_flex(site()), dict(rps or BUSY))
        self.policy = policy
        self.memory = Memory.initial(self.fleet.site, self.fleet.now_s)
        self.last: Decision | None = None

    def run(self, seconds: float, tick_s: float = 2.0) -> CalledFleet:
        """Go on."""
        for _ in range(round(seconds / tick_s)):
            self.fleet.advance(tick_s)
            self.last = decide(self.fleet.site, self.policy, PLANNER, self.memory, self.fleet.observe())
            self.memory = self.last.memory
            self.fleet.obey(self.last)
        return self

    @property
    def facts(self) -> Facts:
        """Of the last tick."""
        assert self.last is not None
        assert self.last.facts is not None
        return self.last.facts

    def call(self, limit_w: float, lead_s: float, settled_s: float = SETTLED_S) -> float:
        """Call a limit, and go on until its ramp, which ends at the lead, is over; returns when that was.

        Below ten minutes the ramp begins at once; else there is notice.
        """
        ramp_s = RAMP_S if lead_s >= SOON_S else lead_s
        start_s, met_s = self.fleet.now_s + lead_s - ramp_s, self.fleet.now_s + lead_s
        self.fleet.events = (GridEvent("e", limit_w, start_s, met_s + settled_s, self.fleet.now_s, ramp_s=ramp_s),)
        self.run(lead_s - ramp_s, tick_s=10.0 if lead_s <= SOON_S else 21.0).run(ramp_s)
        return met_s

    def broken(self, cost: QosCost) -> list[Slack]:
        """Promises that the last tick could not keep, but for those that the cost lets yield."""
        assert self.last is not None
        return [each for each in self.last.diagnostics.slack if not may_yield(each, cost) and not flickers(each)]

    def mean_w(self, from_s: float, until_s: float = float("inf")) -> float:
        """Mean draw of a time."""
        watts = [watts for time_s, watts in self.fleet.watts if from_s < time_s <= until_s]
        return sum(watts) / len(watts)

    @property
    def lost(self) -> int:
        """Requests that were lost."""
        return sum(engine.lost for engine in self.fleet.engines) + self.fleet.unrouted + self.fleet.misrouted


def may_yield(slack: Slack, cost: QosCost) -> bool:
    """Whether the cost lets a promise yield; `flex` alone may wait."""
    if slack.promise == "quality":
        return cost is QosCost.HELD
    return cost.gives_way and (slack.promise in ROOM or (slack.promise, slack.subject) == ("serve", "flex"))


def flickers(slack: Slack) -> bool:
    """Whether as much is within what a tick may lack."""
    return slack.promise == "ramp" or slack.amount < FLICKER.get(slack.promise, 0.0)


def waiting_flex(whole: Site) -> Site:
    """The site with `flex` as a class that may wait."""
    return replace(
        whole, classes=tuple(replace(cls, priority=-1) if cls.class_id == "flex" else cls for cls in whole.classes)
    )


def told(known: Facts) -> Capability:
    """What can be shed."""
    return capability(PLANNER, known, time_limit_s=5.0)


def drawn(seed: int) -> CalledFleet:
    """A random fleet and load, with reductions of several kinds."""
    rng = Random(seed)
    whole = waiting_flex(site()) if rng.random() < 0.7 else site()
    classes = tuple(
        replace(cls, quality_window_s=rng.choice((3600.0, 86_400.0)), survives_loss=rng.random() < 0.2)
        for cls in whole.classes
    )
    rps = {name: each * rng.uniform(0.2, 1.5) for name, each in BUSY.items()}
    policy = replace(ACT, may_stop=rng.random() < 0.5)
    return CalledFleet(replace(whole, classes=classes), rps, policy).run(rng.choice((34, 44, 90)))
