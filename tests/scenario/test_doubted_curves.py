"""A demand that rises into a limit while the curves are doubtful, under the service's own `tick.decide`.

Nobody has measured the engines: their curves are estimates, 40 % to either side, and the true engines draw as much
more, or less. The lower precision sleeps until the limit calls for it, so that nothing is learnt of it before. The
limit comes with a ramp; where it is tightened two seconds later, the first plan's instances are still draining.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache

import pytest

from controller import tick
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation.replay import Outcome, Timing, replay
from controller.simulation.site import SimulatedSite
from controller.simulation.site_router import Request
from tests.bench.refit.cases import true_site
from tests.fakes import scenarios

SECONDS, BEGINS_S, RAMP_S = 110.0, 60.0, 30.0
ASLEEP = frozenset(instance.instance_id for instance in scenarios.site().pools[1].instances)


@dataclass(frozen=True)
class Case:
    """What is played.

    Attributes:
        factor: power of the true engines over that of their curves.
        limit_w: from `BEGINS_S` on.
        tightened_w: from two seconds later on; None where the limit stays.
    """

    factor: float
    limit_w: float
    tightened_w: float | None = None


HUNGRY, SWAPPED, TIGHTENED = Case(1.4, 11_600.0), Case(1.4, 11_500.0), Case(1.4, 11_400.0, 11_300.0)
FRUGAL = Case(1 / 1.4, 6200.0, 6150.0)
CASES = pytest.mark.parametrize("case", [HUNGRY, SWAPPED, TIGHTENED, FRUGAL])


@dataclass(frozen=True)
class Ramped:
    """A run.

    Attributes:
        refusals: (W drawn when a plan was refused for doubt, W it might have drawn), each.
    """

    outcome: Outcome
    refusals: tuple[tuple[float, float], ...]

    def mean_w(self, from_s: float) -> float:
        """Over five seconds."""
        return sum(self.outcome.power_w[int(from_s) : int(from_s) + 5]) / 5.0


class Watched:
    """`tick.decide`, with what it refused noted."""

    def __init__(self, site: Site, *, refit: bool) -> None:
        self._site, self._planner = site, CvxpyPlanner(lambda: 0.0)
        self._policy = TickPolicy(
            mode=Mode.ACT, step_s=30.0, steps=4, slow_interval_s=20.0, warmup_s=10.0, utilisation_frac=0.8, refit=refit
        )
        self._memory = Memory.initial(site, scenarios.START_S)
        self.refusals: list[tuple[float, float]] = []

    def decide(self, observation: Observation) -> Commands:
        decision = tick.decide(self._site, self._policy, self._planner, self._memory, observation)
        self._memory = decision.memory
        seen = decision.diagnostics
        for fallback in seen.fallbacks:
            if found := re.search(r"(\d+) W would raise .* are doubt of the curves", fallback.reason):
                self.refusals.append((max(seen.modelled_w, seen.measured_w or 0.0), float(found[1])))
        return decision.commands


def rising() -> tuple[Request, ...]:
    """Poisson arrivals of 58/s that rise to 80/s from 40 s to 80 s."""
    rng = random.Random(1)
    out: list[Request] = []
    at_s = 0.0
    while (at_s := at_s + rng.expovariate(58.0 + 22.0 * min(1.0, max(0.0, (at_s - 40.0) / 40.0)))) < SECONDS:
        chosen = scenarios.PREMIUM if rng.random() < 0.2 else scenarios.STANDARD
        out.append(Request(len(out), at_s, chosen, rng.randint(20, 200), rng.randint(10, 110)))
    return tuple(out)


@cache
def played(case: Case, *, doubtful: bool = True) -> Ramped:
    """A run; the curves are the true ones, without doubt, where they are not doubtful."""
    start_s = scenarios.START_S
    limits_w = (case.limit_w,) if case.tightened_w is None else (case.limit_w, case.tightened_w)
    events = tuple(
        GridEvent(f"e{n}", limit_w, start_s + BEGINS_S + 2.0 * n, start_s + 7200.0, start_s + BEGINS_S - 15.0, RAMP_S)
        for n, limit_w in enumerate(limits_w)
    )
    true = true_site(case.factor)
    watched = Watched(scenarios.site() if doubtful else true, refit=doubtful)
    outcome = replay(
        SimulatedSite(true, start_s, sleeping=ASLEEP),
        rising(),
        scenarios.mixed(events=events).signals,
        watched,
        Timing(start_s, SECONDS, tick_s=2.0),
    )
    return Ramped(outcome, tuple(watched.refusals))


@CASES
def test_no_plan_is_refused_that_draws_less_at_its_worst_than_is_drawn(case: Case) -> None:
    for drawn_w, worst_w in played(case).refusals:
        assert worst_w > drawn_w


def test_what_might_draw_more_is_refused() -> None:
    assert played(HUNGRY).refusals


@CASES
def test_the_power_never_rises_above_what_was_drawn_as_the_limit_came(case: Case) -> None:
    ran = played(case)
    within = [ran.mean_w(at_s) for at_s in range(int(BEGINS_S), int(SECONDS) - 4)]
    assert max(within) <= 1.01 * ran.mean_w(BEGINS_S - 5.0)
    assert max(within[int(RAMP_S) + 2 :]) <= (case.tightened_w or case.limit_w)


@CASES
def test_what_the_limit_leaves_room_for_is_served(case: Case) -> None:
    """The last answer comes about as soon as where the curves are known for sure."""
    ran, known = played(case), played(case, doubtful=False)
    assert ran.outcome.tokens_lost == 0
    assert ran.outcome.duration_s <= 1.1 * known.outcome.duration_s
