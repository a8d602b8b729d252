"""The simple router of a simulated site: it sends single requests to engines as the allocation table says. Pure.

It keeps to the table as the real one does: pools by weight in tokens served, caps, draining, and where no slot is free,
by priority and then first come first served. Like the real one it knows no more of an engine than the table and whether
it can be reached, so that a request sent to a sleeping engine waits there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.fleet import Pool, RequestClass
from controller.model.observation import ClassDemand, InstanceState, RouterObservation
from controller.simulation.batch import Sequence
from controller.simulation.class_counters import ClassCounters
from controller.simulation.engine import EnginePhysics
from router.contract import AllocationTable, ClassId, InstanceId, PoolId

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
class RoutedEngine:
    """An instance with what the router keeps of it."""

    instance_id: InstanceId
    pool: Pool
    gpu_uuids: tuple[str, ...]
    physics: EnginePhysics
    in_flight: int = 0


class SiteRouter:
    """See the module's text. Callers advance the engines to a time before they send anything at it.

    Attributes:
        counters: what came and what became of it, by class.
        classes: what each class is promised and may use.
    """

    def __init__(self, classes: Iterable[RequestClass], engines: Iterable[RoutedEngine]) -> None:
        self.classes = {cls.class_id: cls for cls in classes}
        self.counters = {class_id: ClassCounters() for class_id in self.classes}
        self._engines = tuple(engines)
        self._queues: dict[ClassId, deque[Request]] = {class_id: deque() for class_id in self.classes}
        self._in_flight: dict[int, tuple[Request, RoutedEngine]] = {}
        self._table: AllocationTable | None = None
        self._caps: dict[InstanceId, int] = {}
        self._draining: frozenset[InstanceId] = frozenset()
        self._weights: dict[ClassId, dict[PoolId, float]] = {}

    @property
    def has_table(self) -> bool:
        """Whether a table is obeyed."""
        return self._table is not None

    @property
    def has_waiting(self) -> bool:
        """Whether any request waits for a slot."""
        return any(self._queues.values())

    @property
    def busy(self) -> bool:
        """Whether any request is under way or waits."""
        return bool(self._in_flight or self.has_waiting)

    def obey(self, table: AllocationTable) -> None:
        """Keep to a table from here on; `send_waiting` sends what it makes room for."""
        self._table = table
        self._caps = {cap.instance_id: cap.max_in_flight for cap in table.caps}
        self._draining = frozenset(table.draining)
        weights = {cls.class_id: {pool.pool_id: pool.weight for pool in cls.pools} for cls in table.weights}
        for class_id in weights:
            if weights[class_id] != self._weights.get(class_id) and class_id in self.counters:
                # New shares hold from here on; what was sent before is not made up for.
                self.counters[class_id].sent_by_pool.clear()
        self._weights = weights

    def submit(self, request: Request, now_s: float) -> None:
        """Send a request on, or let it wait behind those of its class."""
        counters = self.counters[request.class_id]
        counters.asked.add(request.input_tokens, request.output_tokens)
        if not counters.queued.requests and self._dispatch(request, now_s):
            return
        counters.queued.add(request.input_tokens, request.output_tokens)
        self._queues[request.class_id].append(request)

    def send_waiting(self, now_s: float) -> None:
        """Send what can be sent, by priority and then in order of arrival.

        A class without a free slot does not hold up another.
        """
        lines = [line for line in self._queues.values() if line]
        while lines:
            line = min(lines, key=lambda waiting: self._turn(waiting[0]))
            request = line[0]
            if self._dispatch(request, now_s):
                line.popleft()
                self.counters[request.class_id].queued.take(request.input_tokens, request.output_tokens)
            if not line or line[0] is request:
                lines.remove(line)

    def under_way(self, index: int) -> Request:
        """The request of that number, which an engine has."""
        return self._in_flight[index][0]

    def finish(self, index: int) -> None:
        """An engine has answered a request whole."""
        request, engine = self._forget(index)
        counters = self.counters[request.class_id]
        counters.served.add(request.input_tokens, request.output_tokens)
        pool_id = engine.pool.pool_id
        counters.tokens_by_pool[pool_id] = counters.tokens_by_pool.get(pool_id, 0.0) + request.output_tokens

    def lose(self, index: int) -> None:
        """An engine was stopped with a request on it."""
        request, _ = self._forget(index)
        self.counters[request.class_id].lost.add(request.input_tokens, request.output_tokens)

    def observe(self, now_s: float) -> RouterObservation:
        """What a controller would read of the router now."""
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
            for class_id, counters in self.counters.items()
        )
        on_instance = tuple((engine.instance_id, engine.in_flight) for engine in self._engines)
        return RouterObservation(now_s, -1 if self._table is None else self._table.sequence, demand, on_instance)

    def _forget(self, index: int) -> tuple[Request, RoutedEngine]:
        request, engine = self._in_flight.pop(index)
        engine.in_flight -= 1
        self.counters[request.class_id].in_flight -= 1
        return request, engine

    def _turn(self, request: Request) -> tuple[int, float, int]:
        return -self.classes[request.class_id].priority, request.time_s, request.index

    def _dispatch(self, request: Request, now_s: float) -> bool:
        engine = self._pick(request)
        if engine is None:
            return False
        counters = self.counters[request.class_id]
        pool_id = engine.pool.pool_id
        counters.sent_by_pool[pool_id] = counters.sent_by_pool.get(pool_id, 0.0) + request.output_tokens
        counters.in_flight += 1
        engine.in_flight += 1
        self._in_flight[request.index] = (request, engine)
        engine.physics.submit(Sequence(request.index, request.input_tokens, request.output_tokens, now_s))
        return True

    def _pick(self, request: Request) -> RoutedEngine | None:
        """Pool that is furthest behind its share, then its instance with the fewest requests."""
        candidates: dict[PoolId, RoutedEngine] = {}
        for engine in self._engines:
            if not self._may_take(engine, request):
                continue
            best = candidates.get(engine.pool.pool_id)
            if best is None or engine.in_flight < best.in_flight:
                candidates[engine.pool.pool_id] = engine
        if not candidates:
            return None
        weights = self._weights.get(request.class_id, {})
        sent = self.counters[request.class_id].sent_by_pool
        return min(
            candidates.values(),
            key=lambda engine: (
                (sent.get(engine.pool.pool_id, 0.0) + request.output_tokens)
                / max(weights.get(engine.pool.pool_id, 1.0), 1e-9)
            ),
        )

    def _may_take(self, engine: RoutedEngine, request: Request) -> bool:
        weights = self._weights.get(request.class_id)
        return (
            engine.instance_id not in self._draining
            and engine.physics.state not in _UNREACHABLE
            and self.classes[request.class_id].may_use(engine.pool)
            and (weights is None or weights.get(engine.pool.pool_id, 0.0) > 0.0)
            and engine.in_flight < self._caps.get(engine.instance_id, DEFAULT_CAP)
        )
