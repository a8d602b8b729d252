"""A site of simulated engines behind a simple router, under a clock that the caller moves. Pure.

It answers the same questions and takes the same commands as a real site: `observe` gives an `Observation`, `apply`
takes the `Commands` of a tick. The engines are those of the emulator (`simulation.engine`), the router is
`simulation.site_router`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from controller.model.fleet import Site
from controller.model.grid import GridEvent, Series
from controller.model.observation import (
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    Quality,
    Reading,
)
from controller.model.plan import Commands, Verb
from controller.simulation.batch import Sequence, StepEvent
from controller.simulation.class_counters import Amount, ClassCounters
from controller.simulation.engine import EnginePhysics
from controller.simulation.latency import Latencies
from controller.simulation.site_router import Request, RoutedEngine, SiteRouter
from router.contract import AllocationTable, InstanceId, PoolId

SOURCE = "simulation"


@dataclass(frozen=True, slots=True)
class Signals:
    """What the grid says, beside the site's own readings."""

    price_usd_per_mwh: Series | Missing
    carbon_kg_per_mwh: Series | Missing
    events: tuple[GridEvent, ...] = ()


class SimulatedSite:
    """See the module's text.

    Attributes:
        tokens_lost: output tokens of requests that were cut off by a stopped engine.
        late_tokens: output tokens of finished requests whose first token came later than their class is promised.
        ttft: arrival at the router to the first token; another may be put in its place at any time.
        itl: gaps between the tokens of a request; likewise.
        table_delay_s: time from a table's issue to its obeyance.
    """

    def __init__(
        self,
        site: Site,
        now_s: float,
        *,
        sleeping: frozenset[InstanceId] = frozenset(),
        table_delay_s: float = 0.5,
    ) -> None:
        self._site = site
        self._now_s = now_s
        self._engines = {
            instance.instance_id: RoutedEngine(
                instance.instance_id,
                pool,
                instance.gpu_uuids,
                EnginePhysics(
                    pool.curves,
                    now_s,
                    InstanceState.SLEEPING if instance.instance_id in sleeping else InstanceState.SERVING,
                ),
            )
            for pool in site.pools
            for instance in pool.instances
        }
        self._router = SiteRouter(site.classes, self._engines.values())
        self._last_token_s: dict[int, float] = {}
        self._coming: deque[tuple[float, AllocationTable]] = deque()
        self._last_reading: tuple[float, float] | None = None
        occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
        self._constant_w = (site.gpus - occupied) * site.spare_gpu_w * site.pue + site.aux_w
        self._start_s = now_s
        self.table_delay_s = table_delay_s
        self.tokens_lost = 0
        self.late_tokens = dict.fromkeys(self._router.classes, 0.0)
        self.ttft = Latencies()
        self.itl = Latencies()

    @property
    def busy(self) -> bool:
        """Whether any request is under way or waits."""
        return self._router.busy

    @property
    def asked(self) -> np.ndarray:
        """Requests, prompt tokens and output tokens that came, (R, 3)."""
        return self._amounts(lambda counters: counters.asked)

    @property
    def served(self) -> np.ndarray:
        """The same of requests answered whole, (R, 3)."""
        return self._amounts(lambda counters: counters.served)

    @property
    def lost(self) -> np.ndarray:
        """The same of requests cut off by a stopped engine, (R, 3)."""
        return self._amounts(lambda counters: counters.lost)

    @property
    def queued(self) -> np.ndarray:
        """The same of requests that wait at the router, (R, 3)."""
        return self._amounts(lambda counters: counters.queued)

    @property
    def waiting(self) -> np.ndarray:
        """The same of requests that are under way or wait at the router, (R, 3)."""
        return np.asarray(self.asked - self.served - self.lost)

    @property
    def tokens_by_pool(self) -> dict[PoolId, float]:
        """Output tokens of finished requests, by pool."""
        total = {pool.pool_id: 0.0 for pool in self._site.pools}
        for counters in self._router.counters.values():
            for pool_id, tokens in counters.tokens_by_pool.items():
                total[pool_id] += tokens
        return total

    @property
    def finished(self) -> int:
        """Requests finished."""
        return sum(counters.served.requests for counters in self._router.counters.values())

    def energy_by_instance_j(self) -> dict[InstanceId, float]:
        """Energy of each instance since the beginning, at its own terminals."""
        return {engine.instance_id: engine.physics.energy_j for engine in self._engines.values()}

    def energy_j(self) -> float:
        """Energy drawn at the metering point since the beginning."""
        gpus_j = sum(engine.physics.energy_j for engine in self._engines.values())
        return gpus_j * self._site.pue + self._constant_w * (self._now_s - self._start_s)

    def submit(self, request: Request, now_s: float) -> None:
        """Hand a request to the router; the site has been advanced to `now_s`."""
        self._router.submit(request, now_s)

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        while (due_s := self._next_due_s()) is not None and due_s <= until_s:
            self._step(due_s)
        self._step(until_s)

    def apply(self, commands: Commands, now_s: float) -> None:
        """Carry out the commands of a tick; the first table is obeyed at once, later ones after `table_delay_s`."""
        if not self._router.has_table:
            self._router.obey(commands.table)
        else:
            self._coming.append((now_s + self.table_delay_s, commands.table))
        for command in commands.instances:
            engine = self._engines[command.instance_id]
            if command.verb is Verb.SLEEP:
                engine.physics.sleep(now_s)
            elif command.verb is Verb.WAKE:
                engine.physics.wake(now_s)
            elif command.verb is Verb.START:
                engine.physics.start(now_s)
            else:
                self._lose(engine.physics.stop(now_s))
        self._router.send_waiting(now_s)

    def observe(self, signals: Signals) -> Observation:
        """What a controller would read now."""
        now_s = self._now_s
        return Observation(
            now_s=now_s,
            instances=tuple(self._observe_engine(engine, now_s) for engine in self._engines.values()),
            site_power=self._reading(self._mean_power_w()),
            gpu_power=tuple(
                (uuid, self._gpu_reading(engine)) for engine in self._engines.values() for uuid in engine.gpu_uuids
            ),
            router=self._router.observe(now_s),
            price_usd_per_mwh=signals.price_usd_per_mwh,
            carbon_kg_per_mwh=signals.carbon_kg_per_mwh,
            events=tuple(event for event in signals.events if event.notice_s <= now_s < event.end_s),
        )

    def _amounts(self, which: Callable[[ClassCounters], Amount]) -> np.ndarray:
        return np.array([which(counters).as_tuple() for counters in self._router.counters.values()], dtype=float)

    def _mean_power_w(self) -> float:
        """Mean power since the last reading, as a difference of energy counters."""
        energy_j = self.energy_j()
        before = self._last_reading
        self._last_reading = (self._now_s, energy_j)
        if before is None or before[0] >= self._now_s:
            gpus_w = sum(engine.physics.power_w(self._now_s) for engine in self._engines.values())
            return gpus_w * self._site.pue + self._constant_w
        return (energy_j - before[1]) / (self._now_s - before[0])

    def _reading(self, value_w: float) -> Reading:
        return Reading(value_w, None, self._now_s, SOURCE, Quality.EMULATED)

    def _gpu_reading(self, engine: RoutedEngine) -> Reading:
        gpus = len(engine.gpu_uuids)
        watts, joules = engine.physics.power_w(self._now_s) / gpus, engine.physics.energy_j / gpus
        return Reading(watts, joules, self._now_s, SOURCE, Quality.EMULATED)

    def _observe_engine(self, engine: RoutedEngine, now_s: float) -> InstanceObservation:
        physics = engine.physics
        return InstanceObservation(
            instance_id=engine.instance_id,
            pool_id=engine.pool.pool_id,
            state=physics.state,
            observed_at_s=now_s,
            since_s=physics.since_s,
            running=physics.running,
            waiting=physics.waiting,
            prompt_tokens=float(physics.prompt_tokens),
            generation_tokens=float(physics.generation_tokens),
            kv_cache_usage_frac=physics.kv_cache_usage_frac,
            steps=float(physics.steps),
        )

    def _next_due_s(self) -> float | None:
        dues = [due_s for engine in self._engines.values() if (due_s := engine.physics.next_step_at()) is not None]
        if self._coming:
            dues.append(self._coming[0][0])
        return min(dues, default=None)

    def _step(self, now_s: float) -> None:
        self._now_s = now_s
        freed = False
        while self._coming and self._coming[0][0] <= now_s:
            self._router.obey(self._coming.popleft()[1])
            freed = True
        for engine in self._engines.values():
            for event in engine.physics.advance(now_s):
                freed = self._count(event) or freed
        if freed and self._router.has_waiting:
            self._router.send_waiting(now_s)

    def _count(self, event: StepEvent) -> bool:
        """Account for tokens; returns whether the request ended."""
        seq_id = event.seq.seq_id
        request = self._router.under_way(seq_id)
        last_s = self._last_token_s.get(seq_id)
        if last_s is None:
            self.ttft.add(event.at_s - request.time_s - self._start_s)
        else:
            self.itl.add(event.at_s - last_s)
        self._last_token_s[seq_id] = event.at_s
        if not event.finished:
            return False
        del self._last_token_s[seq_id]
        first_s = event.at_s if event.seq.first_token_s is None else event.seq.first_token_s
        if first_s - request.time_s - self._start_s > self._router.classes[request.class_id].ttft_slo_s:
            self.late_tokens[request.class_id] += request.output_tokens
        self._router.finish(seq_id)
        return True

    def _lose(self, lost: Iterable[Sequence]) -> None:
        for seq in lost:
            self.tokens_lost += seq.output_tokens
            self._last_token_s.pop(seq.seq_id, None)
            self._router.lose(seq.seq_id)
