"""Playing a simulated site under a decider: observe, decide, obey, let time pass. Pure but for the solver's clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from controller import tick
from controller.lifecycle.memory import Memory
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.observation import Missing, Observation
from controller.model.plan import Commands, PlanOrigin, Verb
from controller.optimizer.planner import Planner
from controller.study.site.engines import SimSite, Waits, When, engines_of
from controller.study.site.make_site import SiteCase
from router.contract import AllocationTable, ClassWeights, InstanceId, PoolWeight

_TOLD = 200
"""How often progress is told."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """Instances of one pool by what they do."""

    on: int
    """Serving, or draining."""
    changing: int
    """Waking, starting, or not seen."""
    sleeping: int
    off: int


@dataclass(frozen=True, slots=True)
class TickRecord:
    """What is kept of a tick.

    Attributes:
        pools: in the site's order.
        quality_left_frac: in the classes' order; None without a budget or a token served.
        verbs: pool's place and what was commanded to one of its instances.
        planned_by: how the plan made at this tick came about, None where none was made.
        solve_s: time its search took, None where none was made.
        broken: promises that the dispatch does not keep.
        foreseen: those that are told to be broken under a limit, as ``promise:subject``.
        set_w: power at the meter that the dispatch comes to; None without one.
        is_moving: whether instances drain, wake or start, or were commanded to.
    """

    pools: tuple[PoolState, ...]
    quality_left_frac: tuple[float | None, ...]
    verbs: tuple[tuple[int, Verb], ...]
    planned_by: PlanOrigin | None
    solve_s: float | None
    broken: frozenset[str]
    foreseen: frozenset[str] = frozenset()
    set_w: float | None = None
    is_moving: bool = False


class Watcher(Protocol):
    """Who looks on as commands are carried out."""

    def before(self, simulated: SimSite, commands: Commands, tick: int) -> None:
        """The site just before the commands of a tick."""


class Decider(Protocol):
    """Who decides."""

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        """One tick: what to do, and what to keep of it."""


class TickDecider:
    """The controller's own `tick.decide`, with the memory it hands from tick to tick."""

    def __init__(self, case: SiteCase, planner: Planner) -> None:
        self._case, self._planner = case, planner
        self._memory = Memory.initial(case.site, case.start_s)
        self._pool_of = {one.instance_id: k for k, pool in enumerate(case.site.pools) for one in pool.instances}

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        """One tick."""
        decision = tick.decide(self._case.site, self._case.policy, self._planner, self._memory, observation)
        self._memory = decision.memory
        return decision.commands, _record(decision, self._pool_of)


class FixedDecider:
    """Nobody decides: one table for good, all instances serve."""

    def __init__(self, case: SiteCase) -> None:
        site, start_s = case.fixed, case.start_s
        end_s = start_s + case.tick_s * (len(case.asked_per_s) + 1)
        weights = tuple(
            ClassWeights(cls.class_id, tuple(PoolWeight(pool.pool_id, 1.0) for pool in site.pools))
            for cls in site.classes
        )
        self._commands = Commands(AllocationTable(1, start_s, end_s, "fixed", weights))

    def decide(self, observation: Observation) -> tuple[Commands, TickRecord | None]:
        """The same as ever."""
        return self._commands, None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run.

    Attributes:
        power_w: (intervals,) mean power of each, at the metering point.
        pools_w: (intervals, pools) the part of each pool's instances, at the metering point.
        records: one a tick; () where nobody decides.
        asked, served, lost, waiting: (R, 3) requests, prompt tokens and output tokens, at the end.
        late_tokens: output tokens that waited longer than their class is promised.
        by_pool: (R, pools) output tokens.
        queued: (intervals, R) output tokens that wait at the router at the end of each.
        late_by: (intervals, R) late output tokens until the end of each.
        waits: latencies of single requests; empty where there are none.
    """

    site: Site
    power_w: np.ndarray
    pools_w: np.ndarray
    records: tuple[TickRecord, ...]
    asked: np.ndarray
    served: np.ndarray
    lost: np.ndarray
    waiting: np.ndarray
    late_tokens: float
    by_pool: np.ndarray
    queued: np.ndarray
    late_by: np.ndarray
    waits: Mapping[When, Waits]


def play(
    case: SiteCase,
    site: Site,
    decider: Decider,
    events: tuple[GridEvent, ...],
    told: Callable[[float], None],
    *,
    watcher: Watcher | None = None,
) -> Played:
    """Play the whole span; `told` hears how far it is, 0..1."""
    engines = engines_of(case, site)
    simulated = engines.site
    signals = dataclasses.replace(case.signals, events=events)
    per_tick = round(case.tick_s / case.interval_s)
    ticks = len(case.asked_per_s)
    records: list[TickRecord] = []
    joules = [_joules(site, simulated)]
    queued, late = [], []
    for n in range(ticks):
        now_s = case.start_s + n * case.tick_s
        commands, record = decider.decide(simulated.observe(signals))
        if record is not None:
            records.append(record)
        if watcher is not None:
            watcher.before(simulated, commands, n)
        simulated.apply(commands, now_s)
        engines.begin(n)
        for part in range(1, per_tick + 1):
            engines.advance(now_s + part * case.interval_s)
            joules.append(_joules(site, simulated))
            queued.append(simulated.queued[:, 2])
            late.append([simulated.late_tokens[cls.class_id] for cls in site.classes])
        if n % max(1, ticks // _TOLD) == 0:
            told(n / ticks)
    watts = np.diff(np.array(joules), axis=0) / case.interval_s
    return Played(
        site=site,
        power_w=watts[:, 0],
        pools_w=watts[:, 1:],
        records=tuple(records),
        asked=simulated.asked.copy(),
        served=simulated.served.copy(),
        lost=simulated.lost.copy(),
        waiting=simulated.waiting,
        late_tokens=sum(late[-1]),
        by_pool=_by_pool(site, simulated.observe(signals)),
        queued=np.array(queued),
        late_by=np.array(late),
        waits=engines.waits,
    )


def _joules(site: Site, simulated: SimSite) -> list[float]:
    """Energy of the whole site and of each pool's instances, at the metering point."""
    each = simulated.energy_by_instance_j()
    return [
        simulated.energy_j(),
        *(site.pue * sum(each[one.instance_id] for one in pool.instances) for pool in site.pools),
    ]


def _by_pool(site: Site, observation: Observation) -> np.ndarray:
    if isinstance(observation.router, Missing):
        raise ValueError(f"the simulated router does not answer: {observation.router.reason}")
    index = {pool.pool_id: k for k, pool in enumerate(site.pools)}
    out = np.zeros((len(site.classes), len(site.pools)))
    for r, demand in enumerate(observation.router.demand):
        for pool_id, tokens in demand.output_tokens_by_pool:
            out[r, index[pool_id]] = tokens
    return out


def _record(decision: tick.Decision, pool_of: Mapping[InstanceId, int]) -> TickRecord:
    seen, plan = decision.diagnostics, decision.plan
    made = plan if seen.slow_reasons else None
    return TickRecord(
        pools=tuple(
            PoolState(pool.serving + pool.draining, pool.waking + pool.unreachable, pool.sleeping, pool.off)
            for pool in seen.pools
        ),
        quality_left_frac=tuple(cls.quality_left_frac for cls in seen.classes),
        verbs=tuple((pool_of[command.instance_id], command.verb) for command in decision.commands.instances),
        planned_by=None if made is None else made.origin,
        solve_s=None if made is None else made.solve_s,
        broken=frozenset(slack.promise for slack in seen.slack),
        foreseen=frozenset(f"{each.promise}:{each.subject}" for each in decision.memory.foreseen),
        set_w=None if decision.dispatch is None else decision.dispatch.import_w[0],
        is_moving=bool(decision.commands.instances) or any(pool.draining + pool.waking for pool in seen.pools),
    )
