"""A small site whose engines are not what the configuration says, played by the controller's own `tick.decide`.

Two pools of simulated engines serve a load that rises and falls; a limit comes into force half-way and stays. The
engines of the "true" site draw a factor more or less than the curves that the controller is given.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from dataclasses import dataclass

from controller import tick
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Pool, Site
from controller.model.grid import GridEvent, Series
from controller.model.observation import Observation
from controller.model.plan import Commands
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation.replay import Outcome, Timing, replay
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from tests.fakes import scenarios
from tests.fakes.refit_pool import scaled_power

START_S = scenarios.START_S


@dataclass(frozen=True, slots=True)
class Case:
    """What is played.

    Attributes:
        factor: power of the true engines over that of the configured curves.
        limit_frac: limit over the mean power before it.
        per_s: mean requests/s.
    """

    factor: float
    refit: bool
    seed: int = 1
    seconds: float = 300.0
    begins_s: float = 150.0
    ramp_s: float = 30.0
    limit_frac: float = 0.75
    per_s: float = 75.0
    tick_s: float = 4.0
    limit_w: float | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it.

    Attributes:
        over_s: 5-second means above the limit after the ramp, in seconds.
        worst_frac: the largest of them over the limit.
        unused_frac: mean share of the limit left unused after the ramp.
        low_frac: share of the output tokens at the lower precision while the limit was in force.
        model_error_frac: mean of |model - meter| / meter over the last quarter of the ticks.
        cpu_ms: processor time of a tick, mean.
    """

    limit_w: float
    over_s: float
    worst_frac: float
    unused_frac: float
    outcome: Outcome
    model_error_frac: float
    cpu_ms: float
    drifts: tuple[str, ...]


class _Watched:
    """`tick.decide`, with what it said of the power noted."""

    def __init__(self, site: Site, policy: TickPolicy) -> None:
        self._site, self._policy = site, policy
        self._planner = CvxpyPlanner(lambda: 0.0)
        self.memory = Memory.initial(site, START_S)
        self.errors: list[float] = []
        self.cpu_s: list[float] = []
        self.drifts: tuple[str, ...] = ()

    def decide(self, observation: Observation) -> Commands:
        begun_s = time.process_time()
        decision = tick.decide(self._site, self._policy, self._planner, self.memory, observation)
        self.cpu_s.append(time.process_time() - begun_s)
        self.memory = decision.memory
        seen = decision.diagnostics
        if seen.measured_w:
            self.errors.append(abs(seen.modelled_w - seen.measured_w) / seen.measured_w)
        self.drifts = tuple(alarm.told for refit in seen.refits for alarm in refit.alarms)
        return decision.commands


def true_site(factor: float) -> Site:
    """The site as it is."""
    site = scenarios.site()
    return dataclasses.replace(site, pools=tuple(_scaled(pool, factor) for pool in site.pools))


def play(case: Case) -> Played:
    """Play a case; without a limit of its own it is a share of what the true site draws before it."""
    if case.limit_w is None:
        free = dataclasses.replace(case, factor=1.0, refit=False, limit_w=math.inf)
        before = _run(free)[1].power_w[int(0.4 * case.begins_s) : int(case.begins_s)]
        case = dataclasses.replace(case, limit_w=case.limit_frac * case.factor * sum(before) / len(before))
    watched, outcome = _run(case)
    limit_w = case.limit_w or math.inf
    first = int(case.begins_s + case.ramp_s)
    means = [sum(outcome.power_w[n : n + 5]) / 5 for n in range(first, int(case.seconds) - 4, 5)]
    return Played(
        limit_w=limit_w,
        over_s=5.0 * sum(mean > limit_w for mean in means),
        worst_frac=max(means) / limit_w,
        unused_frac=1.0 - sum(means) / len(means) / limit_w,
        outcome=outcome,
        model_error_frac=_mean(watched.errors[3 * len(watched.errors) // 4 :]),
        cpu_ms=1000.0 * _mean(watched.cpu_s),
        drifts=watched.drifts,
    )


def _run(case: Case) -> tuple[_Watched, Outcome]:
    events: tuple[GridEvent, ...] = ()
    begins_s = START_S + case.begins_s
    if case.limit_w is not None and math.isfinite(case.limit_w):
        events = (GridEvent("e", case.limit_w, begins_s, START_S + 7200.0, begins_s - 15.0, case.ramp_s),)
    policy = TickPolicy(
        mode=Mode.ACT,
        step_s=30.0,
        steps=4,
        slow_interval_s=20.0,
        warmup_s=10.0,
        utilisation_frac=0.8,
        refit=case.refit,
    )
    watched = _Watched(scenarios.site(), policy)
    simulated = SimulatedSite(true_site(case.factor), START_S)
    signals = Signals(
        Series((START_S - 60.0,), (500.0,), START_S + 7200.0, "usd_per_mwh", "for tests"),
        Series((START_S - 60.0,), (300.0,), START_S + 7200.0, "kg_per_mwh", "for tests"),
        events,
    )
    timing = Timing(START_S, case.seconds, tick_s=case.tick_s)
    return watched, replay(simulated, _requests(case), signals, watched, timing)


def _requests(case: Case) -> tuple[Request, ...]:
    """Poisson arrivals whose rate swings by a third over two minutes."""
    rng = random.Random(case.seed)
    out: list[Request] = []
    at_s = 0.0
    while True:
        rate = case.per_s * (1.0 + math.sin(at_s / 20.0) / 3.0)
        at_s += rng.expovariate(rate)
        if at_s >= case.seconds:
            return tuple(out)
        chosen = scenarios.PREMIUM if rng.random() < 0.2 else scenarios.STANDARD
        out.append(Request(len(out), at_s, chosen, rng.randint(20, 200), rng.randint(10, 110)))


def _scaled(pool: Pool, factor: float) -> Pool:
    return dataclasses.replace(pool, curves=scaled_power(pool.curves, factor))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
