"""A site of simulated engines behind a simple router, under a clock that the caller moves. Pure.

It answers the same questions and takes the same commands as a real site: `observe` gives an `Observation`, `apply`
takes the `Commands` of a tick. The engines are those of the emulator (`simulation.engine`); the router keeps to the
allocation table as the real one does: pools by weight in tokens served, caps, draining, and where no slot is free, by
priority and then first come first served. Like the real one it knows no more of an engine than the table and whether
it can be reached, so that a request sent to a sleeping engine waits there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from controller.model.fleet import Pool, RequestClass, Site
from controller.model.grid import GridEvent, Series
from controller.model.observation import (
    ClassDemand,
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    Quality,
    Reading,
    RouterObservation,
)
from controller.model.plan import Commands, Verb
from controller.simulation.class_counters import Amount, ClassCounters
from controller.simulation.engine import EnginePhysics, Sequence, StepEvent
from controller.simulation.latency import Latencies
from router.contract import AllocationTable, ClassId, InstanceId, PoolId

SOURCE = "simulation"
DEFAULT_CAP = 1024
_UNREACHABLE = (InstanceState.OFF, InstanceState.STARTING)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrives at the router.

    Attributes:
        index: its number in the replay, unique.
        time_s: arrival, seconds since the start of the replay.
    """

    index: int
    time_s: float
    class_id: ClassId
    input_tokens: int
    output_tokens: int


@dataclass(slots=True)
class _Engine:
    """An instance with what the router keeps of it."""

    instance_id: InstanceId
    pool: Pool
    gpu_uuids: tuple[str, ...]
    physics: EnginePhysics
    in_flight: int = 0


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
        self._classes: Mapping[ClassId, RequestClass] = {cls.class_id: cls for cls in site.classes}
        self._engines = {
            instance.instance_id: _Engine(
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
        self._counters = {class_id: ClassCounters() for class_id in self._classes}
        self._queues: dict[ClassId, deque[Request]] = {class_id: deque() for class_id in self._classes}
        self._in_flight: dict[int, tuple[Request, _Engine]] = {}
        self._last_token_s: dict[int, float] = {}
        self._table: AllocationTable | None = None
        self._caps: dict[InstanceId, int] = {}
        self._draining: frozenset[InstanceId] = frozenset()
        self._weights: dict[ClassId, dict[PoolId, float]] = {}
        self._coming: deque[tuple[float, AllocationTable]] = deque()
        self._last_reading: tuple[float, float] | None = None
        occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
        self._constant_w = (site.gpus - occupied) * site.spare_gpu_w * site.pue + site.aux_w
        self._start_s = now_s
        self.table_delay_s = table_delay_s
        self.tokens_lost = 0
        self.late_tokens = dict.fromkeys(self._classes, 0.0)
        self.ttft = Latencies()
        self.itl = Latencies()

    @property
    def busy(self) -> bool:
        """Whether any request is under way or waits."""
        return bool(self._in_flight or any(self._queues.values()))

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
        for counters in self._counters.values():
            for pool_id, tokens in counters.tokens_by_pool.items():
                total[pool_id] += tokens
        return total

    @property
    def finished(self) -> int:
        """Requests finished."""
        return sum(counters.served.requests for counters in self._counters.values())

    def energy_by_instance_j(self) -> dict[InstanceId, float]:
        """Energy of each instance since the beginning, at its own terminals."""
        return {engine.instance_id: engine.physics.energy_j for engine in self._engines.values()}

    def energy_j(self) -> float:
        """Energy drawn at the metering point since the beginning."""
        gpus_j = sum(engine.physics.energy_j for engine in self._engines.values())
        return gpus_j * self._site.pue + self._constant_w * (self._now_s - self._start_s)

    def submit(self, request: Request, now_s: float) -> None:
        """Hand a request to the router; the site has been advanced to `now_s`."""
        counters = self._counters[request.class_id]
        counters.asked.add(request.input_tokens, request.output_tokens)
        if not counters.queued.requests and self._dispatch(request, now_s):
            return
        counters.queued.add(request.input_tokens, request.output_tokens)
        self._queues[request.class_id].append(request)

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        while (due_s := self._next_due_s()) is not None and due_s <= until_s:
            self._step(due_s)
        self._step(until_s)

    def apply(self, commands: Commands, now_s: float) -> None:
        """Carry out the commands of a tick; the first table is obeyed at once, later ones after `table_delay_s`."""
        if self._table is None:
            self._install(commands.table)
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
                self._lose(engine, engine.physics.stop(now_s))
        self._drain_queue(now_s)

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
            router=self._observe_router(now_s),
            price_usd_per_mwh=signals.price_usd_per_mwh,
            carbon_kg_per_mwh=signals.carbon_kg_per_mwh,
            events=tuple(event for event in signals.events if event.notice_s <= now_s < event.end_s),
        )

    def _amounts(self, which: Callable[[ClassCounters], Amount]) -> np.ndarray:
        return np.array([which(counters).as_tuple() for counters in self._counters.values()], dtype=float)

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

    def _gpu_reading(self, engine: _Engine) -> Reading:
        gpus = len(engine.gpu_uuids)
        watts, joules = engine.physics.power_w(self._now_s) / gpus, engine.physics.energy_j / gpus
        return Reading(watts, joules, self._now_s, SOURCE, Quality.EMULATED)

    def _observe_engine(self, engine: _Engine, now_s: float) -> InstanceObservation:
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

    def _observe_router(self, now_s: float) -> RouterObservation:
        demand = tuple(
            ClassDemand(
                class_id=class_id,
                requests=float(counters.asked.requests),
                finished=float(counters.served.requests),
                input_tokens=float(counters.served.input_tokens),
                output_tokens=float(counters.served.output_tokens),
                in_flight=counters.in_flight,
                queued=counters.queued.requests,
                output_tokens_by_pool=tuple(sorted(counters.tokens_by_pool.items())),
            )
            for class_id, counters in self._counters.items()
        )
        on_instance = tuple((engine.instance_id, engine.in_flight) for engine in self._engines.values())
        return RouterObservation(now_s, -1 if self._table is None else self._table.sequence, demand, on_instance)

    def _next_due_s(self) -> float | None:
        dues = [due_s for engine in self._engines.values() if (due_s := engine.physics.next_step_at()) is not None]
        if self._coming:
            dues.append(self._coming[0][0])
        return min(dues, default=None)

    def _step(self, now_s: float) -> None:
        self._now_s = now_s
        freed = False
        while self._coming and self._coming[0][0] <= now_s:
            self._install(self._coming.popleft()[1])
            freed = True
        for engine in self._engines.values():
            for event in engine.physics.advance(now_s):
                freed = self._count(event, engine) or freed
        if freed and any(self._queues.values()):
            self._drain_queue(now_s)

    def _install(self, table: AllocationTable) -> None:
        self._table = table
        self._caps = {cap.instance_id: cap.max_in_flight for cap in table.caps}
        self._draining = frozenset(table.draining)
        weights = {cls.class_id: {pool.pool_id: pool.weight for pool in cls.pools} for cls in table.weights}
        for class_id in weights:
            if weights[class_id] != self._weights.get(class_id) and class_id in self._counters:
                # New shares hold from here on; what was sent before is not made up for.
                self._counters[class_id].sent_by_pool.clear()
        self._weights = weights

    def _count(self, event: StepEvent, engine: _Engine) -> bool:
        """Account for tokens; returns whether the request ended."""
        seq_id = event.seq.seq_id
        request = self._in_flight[seq_id][0]
        last_s = self._last_token_s.get(seq_id)
        if last_s is None:
            self.ttft.add(event.at_s - request.time_s - self._start_s)
        else:
            self.itl.add(event.at_s - last_s)
        self._last_token_s[seq_id] = event.at_s
        if not event.finished:
            return False
        self._forget(seq_id)
        first_s = event.at_s if event.seq.first_token_s is None else event.seq.first_token_s
        if first_s - request.time_s - self._start_s > self._classes[request.class_id].ttft_slo_s:
            self.late_tokens[request.class_id] += request.output_tokens
        counters = self._counters[request.class_id]
        counters.served.add(request.input_tokens, request.output_tokens)
        pool_id = engine.pool.pool_id
        counters.tokens_by_pool[pool_id] = counters.tokens_by_pool.get(pool_id, 0.0) + request.output_tokens
        return True

    def _forget(self, seq_id: int) -> None:
        request, engine = self._in_flight.pop(seq_id)
        self._last_token_s.pop(seq_id, None)
        engine.in_flight -= 1
        self._counters[request.class_id].in_flight -= 1

    def _lose(self, engine: _Engine, lost: Iterable[Sequence]) -> None:
        for seq in lost:
            self.tokens_lost += seq.output_tokens
            request = self._in_flight[seq.seq_id][0]
            self._counters[request.class_id].lost.add(request.input_tokens, request.output_tokens)
            self._forget(seq.seq_id)

    def _drain_queue(self, now_s: float) -> None:
        """Send what can be sent, by priority and then in order of arrival.

        A class without a free slot does not hold up another.
        """
        lines = [line for line in self._queues.values() if line]
        while lines:
            line = min(lines, key=lambda waiting: self._turn(waiting[0]))
            request = line[0]
            if self._dispatch(request, now_s):
                line.popleft()
                self._counters[request.class_id].queued.take(request.input_tokens, request.output_tokens)
            if not line or line[0] is request:
                lines.remove(line)

    def _turn(self, request: Request) -> tuple[int, float, int]:
        return -self._classes[request.class_id].priority, request.time_s, request.index

    def _dispatch(self, request: Request, now_s: float) -> bool:
        engine = self._pick(request)
        if engine is None:
            return False
        counters = self._counters[request.class_id]
        pool_id = engine.pool.pool_id
        counters.sent_by_pool[pool_id] = counters.sent_by_pool.get(pool_id, 0.0) + request.output_tokens
        counters.in_flight += 1
        engine.in_flight += 1
        self._in_flight[request.index] = (request, engine)
        engine.physics.submit(Sequence(request.index, request.input_tokens, request.output_tokens, now_s))
        return True

    def _pick(self, request: Request) -> _Engine | None:
        """Pool that is furthest behind its share, then its instance with the fewest requests."""
        candidates: dict[PoolId, _Engine] = {}
        for engine in self._engines.values():
            if not self._may_take(engine, request):
                continue
            best = candidates.get(engine.pool.pool_id)
            if best is None or engine.in_flight < best.in_flight:
                candidates[engine.pool.pool_id] = engine
        if not candidates:
            return None
        weights = self._weights.get(request.class_id, {})
        sent = self._counters[request.class_id].sent_by_pool
        return min(
            candidates.values(),
            key=lambda engine: (
                (sent.get(engine.pool.pool_id, 0.0) + request.output_tokens)
                / max(weights.get(engine.pool.pool_id, 1.0), 1e-9)
            ),
        )

    def _may_take(self, engine: _Engine, request: Request) -> bool:
        weights = self._weights.get(request.class_id)
        return (
            engine.instance_id not in self._draining
            and engine.physics.state not in _UNREACHABLE
            and self._classes[request.class_id].may_use(engine.pool)
            and (weights is None or weights.get(engine.pool.pool_id, 0.0) > 0.0)
            and engine.in_flight < self._caps.get(engine.instance_id, DEFAULT_CAP)
        )
