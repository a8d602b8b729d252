"""One event after a notice, played by `tick.decide` on the fluid site under a virtual clock; the site is simulated.

Far from the event the controller looks seldom, so that a day passes in seconds; in its ramp every two seconds, as in
service.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Site
from controller.model.grid import GridEvent, Series
from controller.model.observation import InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation.fluid import FluidSite
from controller.simulation.site import Signals
from controller.tick import Decision, Memory, decide
from tests.fakes import scenarios

START_S = 1_790_000_000.0
FAR_S, CALM_S, NEAR_S = 900.0, 10.0, 2.0
"""Ticks far from the event, around it, and in its ramp."""
STEP_S = 60.0
"""Longest step of the site: nothing changes while ticks are far."""
PREPARE_S, RAMP_S, LASTS_S, RESTORE_W_PER_S = 120.0, 60.0, 180.0, 20.0
POLICY = TickPolicy(
    mode=Mode.ACT, step_s=60.0, steps=5, slow_interval_s=60.0, slow_time_limit_s=10.0, prepare_s=PREPARE_S
)
STEADY = Series((0.0,), (60.0,), 1e10, "usd_per_mwh", "test")
PLANNER = CvxpyPlanner(lambda: 0.0)
INPUT_TOKENS, OUTPUT_TOKENS = 110.0, 60.0


def careful_site() -> Site:
    """Quality is dear, so that BF16 serves; within an event FP8 may, as far as the budget allows."""
    whole = scenarios.site()
    standard, premium = whole.classes
    return replace(whole, classes=(replace(standard, quality_budget_frac=0.006), premium))


@dataclass
class Noticed:
    """A site that is played from tick to tick.

    Attributes:
        watts: (end of the tick, mean power over it), each.
        decisions: (when, decision), each.
        serving: (when, instances that serve of each pool), each.
        refused: (when, requests refused so far), each.
    """

    of: Site = field(default_factory=lambda: careful_site())
    policy: TickPolicy = POLICY
    rps: tuple[float, ...] = (45.0, 12.0)
    now_s: float = START_S
    events: tuple[GridEvent, ...] = ()
    watts: list[tuple[float, float]] = field(default_factory=list)
    decisions: list[tuple[float, Decision]] = field(default_factory=list)
    serving: list[tuple[float, tuple[int, ...]]] = field(default_factory=list)

    refused: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        impatient = frozenset(cls.class_id for cls in self.of.classes if not cls.may_wait)
        self.site = FluidSite(self.of, self.now_s, impatient=impatient, step_s=STEP_S)
        self.site.ask(np.array([[rps, rps * INPUT_TOKENS, rps * OUTPUT_TOKENS] for rps in self.rps]))
        self.memory = Memory.initial(self.of, self.now_s)

    def run(self, until_s: float, tick_s: float = NEAR_S) -> Noticed:
        """Play on."""
        while self.now_s < until_s - 1e-6:
            begun_j = self.site.energy_j()
            observed = self.site.observe(Signals(STEADY, STEADY, self.events))
            decision = decide(self.of, self.policy, PLANNER, self.memory, observed)
            self.memory = decision.memory
            self.site.apply(decision.commands, self.now_s)
            self.decisions.append((self.now_s, decision))
            self.serving.append((self.now_s, self.count()))
            dt_s = min(tick_s, until_s - self.now_s)
            self.now_s += dt_s
            self.site.advance(self.now_s)
            self.watts.append((self.now_s, (self.site.energy_j() - begun_j) / dt_s))
            self.refused.append((self.now_s, float(self.site.refused[:, 0].sum() + self.site.lost[:, 0].sum())))
        return self

    def called(self, notice_s: float, **changes: Any) -> GridEvent:
        """An event that is told of now, and that is waited for until its start."""
        before_w = self.mean_w(self.now_s - 60.0, self.now_s)
        start_s = self.now_s + notice_s
        plain = GridEvent(
            "e", 0.8 * before_w, start_s, start_s + LASTS_S, self.now_s,
            ramp_s=RAMP_S, restore_w_per_s=RESTORE_W_PER_S, baseline_w=before_w,
        )  # fmt: skip
        event = replace(plain, **changes)
        self.events = (event,)
        self.run(max(self.now_s, start_s - PREPARE_S - 60.0), FAR_S).run(start_s, CALM_S)
        return event

    def mean_w(self, from_s: float, until_s: float) -> float:
        """Mean power over ticks of equal length."""
        within = [watts for time_s, watts in self.watts if from_s < time_s <= until_s]
        return sum(within) / len(within)

    def count(self) -> tuple[int, ...]:
        """Instances that serve, of each pool."""
        seen = self.site.observe(Signals(STEADY, STEADY)).instances
        serving = [each.pool_id for each in seen if each.state is InstanceState.SERVING]
        return tuple(serving.count(pool.pool_id) for pool in self.of.pools)
