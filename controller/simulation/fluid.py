"""A site through which tokens flow at constant rates, under a clock that the caller moves: days in seconds. Pure.

It answers the same questions and takes the same commands as `simulation.site.SimulatedSite`: `observe` gives an
`Observation`, `apply` takes the `Commands` of a tick. There are no single requests: `ask` sets what arrives from now
on, the router spreads it by the allocation table (`fluid_router`), what finds no room waits in the order in which it
came (`fluid_queue`), and the engines work it off (`fluid_engine`). What is asked is served, lost with a stopped engine,
refused after its class's time to first token where the class does not wait longer, or waits.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from controller.model.fleet import Site
from controller.model.observation import (
    ClassDemand,
    InstanceObservation,
    InstanceState,
    Observation,
    Quality,
    Reading,
    RouterObservation,
)
from controller.model.plan import Commands, Verb
from controller.simulation.fluid_engine import FluidEngines, Pace
from controller.simulation.fluid_queue import FluidQueue
from controller.simulation.fluid_router import over_instances, over_pools
from controller.simulation.site import SOURCE, Signals
from controller.simulation.site_router import DEFAULT_CAP
from router.contract import AllocationTable, ClassId, InstanceId

STEP_S = 5.0
"""Longest step: a request takes a few times as long, so that rates hardly change within one."""
_CORRECTIONS = 4
"""Of a step's flows by the pace that they bring about: an empty engine slows down as it fills. Their mean is taken, as
instances else take turns in being the emptiest."""
_TRACE = 1e-6


class FluidSite:
    """See the module's text. Amounts are requests, prompt tokens and output tokens, in this order.

    Attributes:
        table_delay_s: time from a table's issue to its obeyance.
        asked, served, lost, refused: (R, 3) since the start.
    """

    def __init__(
        self,
        site: Site,
        now_s: float,
        *,
        sleeping: frozenset[InstanceId] = frozenset(),
        impatient: frozenset[ClassId] = frozenset(),
        table_delay_s: float = 0.5,
        step_s: float = STEP_S,
    ) -> None:
        if not 0.0 < step_s < math.inf:
            raise ValueError(f"step_s {step_s}: a step is a positive time")
        self._site, self._now_s, self._start_s, self._step_s = site, now_s, now_s, step_s
        self._ids = [instance.instance_id for pool in site.pools for instance in pool.instances]
        self._pool_of = np.array([k for k, pool in enumerate(site.pools) for _ in pool.instances], dtype=int)
        self._members = [np.flatnonzero(self._pool_of == k) for k in range(len(site.pools))]
        states = [InstanceState.SLEEPING if one in sleeping else InstanceState.SERVING for one in self._ids]
        self._engines = FluidEngines(site.pools, len(site.classes), states, now_s)
        self._queues = [FluidQueue(cls.ttft_slo_s) for cls in site.classes]
        self._may = np.array([[float(cls.may_use(pool)) for pool in site.pools] for cls in site.classes])
        self._priority = np.array([float(cls.priority) for cls in site.classes])
        self._rates = np.zeros((len(site.classes), 3))
        self._typical = np.array([[1.0, c.expected_input_tokens, c.expected_output_tokens] for c in site.classes])
        self._table: AllocationTable | None = None
        self._coming: deque[tuple[float, AllocationTable]] = deque()
        self._weights = self._may.copy()
        self._caps = np.full(len(self._ids), float(DEFAULT_CAP))
        self._open = np.ones(len(self._ids), dtype=bool)
        self._last_reading: tuple[float, float] | None = None
        self._last_power_w = 0.0
        occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in site.pools)
        self._constant_w = (site.gpus - occupied) * site.spare_gpu_w * site.pue + site.aux_w
        self._by_pool = np.zeros((len(site.classes), len(site.pools)))
        self.table_delay_s = table_delay_s
        self.asked = np.zeros((len(site.classes), 3))
        self.served = np.zeros((len(site.classes), 3))
        self.lost = np.zeros((len(site.classes), 3))
        self.refused = np.zeros((len(site.classes), 3))
        self._impatient = [r for r, cls in enumerate(site.classes) if cls.class_id in impatient]

    @property
    def waiting(self) -> np.ndarray:
        """What is under way or waits at the router, (R, 3)."""
        return np.asarray(self.queued + self._engines.held.sum(axis=0))

    @property
    def queued(self) -> np.ndarray:
        """What waits at the router, (R, 3)."""
        return np.array([queue.waiting for queue in self._queues])

    @property
    def late_tokens(self) -> dict[ClassId, float]:
        """Output tokens whose requests wait or waited at the router for longer than the class's time to first token."""
        return {
            cls.class_id: queue.late_tokens + queue.overdue_tokens(self._now_s)
            for cls, queue in zip(self._site.classes, self._queues, strict=True)
        }

    def energy_by_instance_j(self) -> dict[InstanceId, float]:
        """Energy of each instance since the beginning, at its own terminals."""
        return dict(zip(self._ids, self._engines.energy_j.tolist(), strict=True))

    def energy_j(self) -> float:
        """Energy drawn at the metering point since the beginning."""
        gpus_j = float(self._engines.energy_j.sum())
        return gpus_j * self._site.pue + self._constant_w * (self._now_s - self._start_s)

    def ask(self, rates_per_s: np.ndarray) -> None:
        """What arrives from now on, (R, 3) a second: requests, prompt tokens, output tokens.

        Raises:
            ValueError: a rate is negative or not finite, or tokens come without requests.
        """
        rates = np.asarray(rates_per_s, dtype=float)
        if rates.shape != self._rates.shape or not np.isfinite(rates).all() or (rates < 0).any():
            raise ValueError(f"arrivals {rates.tolist()}: {self._rates.shape} finite rates of at least 0 are expected")
        if ((rates[:, 0] == 0) & (rates[:, 1:].sum(axis=1) > 0)).any():
            raise ValueError(f"arrivals {rates.tolist()}: tokens without requests")
        self._rates = rates
        some = rates[:, 0] > 0
        self._typical[some] = rates[some] / rates[some, :1]

    def advance(self, until_s: float) -> None:
        """Let time pass."""
        while self._now_s < until_s:
            due_s = self._coming[0][0] if self._coming else math.inf
            edge_s = min(until_s, self._now_s + self._step_s, due_s, self._engines.next_change_s)
            if edge_s > self._now_s:
                self._flow(edge_s - self._now_s)
                self._now_s = edge_s
            while self._coming and self._coming[0][0] <= self._now_s:
                self._install(self._coming.popleft()[1])
            if self._engines.next_change_s <= self._now_s:
                self._engines.change(self._now_s)

    def apply(self, commands: Commands, now_s: float) -> None:
        """Carry out the commands of a tick; the first table is obeyed at once, later ones after `table_delay_s`."""
        if self._table is None:
            self._install(commands.table)
        else:
            self._coming.append((now_s + self.table_delay_s, commands.table))
        for command in commands.instances:
            i = self._ids.index(command.instance_id)
            if command.verb is Verb.SLEEP:
                self._engines.sleep(i, now_s)
            elif command.verb is Verb.WAKE:
                self._engines.wake(i, now_s)
            elif command.verb is Verb.START:
                self._engines.start(i, now_s)
            else:
                self.lost += self._engines.stop(i, now_s)

    def observe(self, signals: Signals) -> Observation:
        """What a controller would read now."""
        now_s = self._now_s
        power_w = self._mean_power_w()
        return Observation(
            now_s=now_s,
            instances=tuple(self._observe_instance(i) for i in range(len(self._ids))),
            site_power=Reading(power_w, None, now_s, SOURCE, Quality.EMULATED),
            gpu_power=(),
            router=self._observe_router(),
            price_usd_per_mwh=signals.price_usd_per_mwh,
            carbon_kg_per_mwh=signals.carbon_kg_per_mwh,
            events=tuple(event for event in signals.events if event.notice_s <= now_s < event.end_s),
        )

    def _mean_power_w(self) -> float:
        """Mean power since the last reading; at the first, that of instances without work."""
        energy_j, before = self.energy_j(), self._last_reading
        if before is not None and before[0] >= self._now_s:
            return self._last_power_w
        self._last_reading = (self._now_s, energy_j)
        if before is None:
            self._last_power_w = float(self._engines.unloaded_w.sum()) * self._site.pue + self._constant_w
        else:
            self._last_power_w = (energy_j - before[1]) / (self._now_s - before[0])
        return self._last_power_w

    def _observe_instance(self, i: int) -> InstanceObservation:
        engines = self._engines
        running, waiting = engines.in_batch(i)
        return InstanceObservation(
            instance_id=self._ids[i],
            pool_id=self._site.pools[self._pool_of[i]].pool_id,
            state=engines.states[i],
            observed_at_s=self._now_s,
            since_s=engines.since_s[i],
            running=_whole(running),
            waiting=_whole(waiting),
            prompt_tokens=float(engines.prompt_tokens[i]),
            generation_tokens=float(engines.generation_tokens[i]),
            kv_cache_usage_frac=engines.kv_usage_frac(i),
        )

    def _observe_router(self) -> RouterObservation:
        on_instances = self._engines.held[:, :, 0]
        demand = tuple(
            ClassDemand(
                class_id=cls.class_id,
                requests=float(self.asked[r, 0]),
                finished=float(self.served[r, 0]),
                input_tokens=float(self.served[r, 1]),
                output_tokens=float(self.served[r, 2]),
                in_flight=_whole(float(on_instances[:, r].sum())),
                queued=_whole(float(self._queues[r].waiting[0])),
                output_tokens_by_pool=tuple(
                    (pool.pool_id, float(self._by_pool[r, k]))
                    for k, pool in enumerate(self._site.pools)
                    if self._by_pool[r, k] > 0
                ),
            )
            for r, cls in enumerate(self._site.classes)
        )
        in_flight = tuple(
            (one, _whole(float(n))) for one, n in zip(self._ids, on_instances.sum(axis=1).tolist(), strict=True)
        )
        return RouterObservation(self._now_s, -1 if self._table is None else self._table.sequence, demand, in_flight)

    def _flow(self, dt_s: float) -> None:
        came = self._rates * dt_s
        self.asked += came
        for queue, amount in zip(self._queues, came, strict=True):
            queue.put(self._now_s, amount)
        for r in self._impatient:
            self.refused[r] += self._queues[r].leave(self._now_s)
        takes = self._open & self._engines.reachable
        pace = self._engines.pace(dt_s, self._typical)
        coming_per_s = np.zeros(self._engines.held.shape[:2])
        for n in range(1, _CORRECTIONS + 1):
            given, share = self._route(dt_s, pace, takes)
            coming_per_s += (share @ given.T - coming_per_s) / n
            pace = self._engines.pace(dt_s, self._typical, coming_per_s)
        served = self._engines.flow(dt_s, pace, self._hand_over(dt_s, *self._route(dt_s, pace, takes)), takes)
        self.served += served.sum(axis=0)
        for k, members in enumerate(self._members):
            self._by_pool[:, k] += served[members, :, 2].sum(axis=0)

    def _route(self, dt_s: float, pace: Pace, takes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flow of each class to each pool, (R, K) requests/s, and each instance's share of its pool's, (I, K)."""
        kept, gain_s = pace.kept, pace.gain_s
        room = np.where(takes, np.maximum(0.0, self._caps - kept) / gain_s, 0.0)
        pool_room = np.array([room[members].sum() for members in self._members])
        wanted = np.array([queue.waiting[0] for queue in self._queues]) / dt_s
        given = over_pools(wanted, self._weights, pool_room, self._priority)
        share = np.zeros((len(self._ids), len(self._members)))
        for k, members in enumerate(self._members):
            total = float(given[:, k].sum())
            if total > 0.0:
                at = members[room[members] > 0]
                share[at, k] = over_instances(total, kept[at], gain_s[at], self._caps[at]) / total
        return given, share

    def _hand_over(self, dt_s: float, given: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Take from the queues what is `given` (R, K) for each instance by its `share` (I, K); (I, R, 3)."""
        coming = np.zeros(self._engines.held.shape)
        for r, queue in enumerate(self._queues):
            of_class = float(given[r].sum())
            amount = queue.take(of_class * dt_s, self._now_s)
            if of_class > 0.0:
                coming[:, r] = (share @ (given[r] / of_class))[:, None] * amount
        return coming

    def _install(self, table: AllocationTable) -> None:
        self._table = table
        weights = {cls.class_id: {pool.pool_id: pool.weight for pool in cls.pools} for cls in table.weights}
        for r, cls in enumerate(self._site.classes):
            if (of_class := weights.get(cls.class_id)) is not None:
                told = [of_class.get(pool.pool_id, 0.0) for pool in self._site.pools]
                self._weights[r] = self._may[r] * np.array(told)
            else:
                self._weights[r] = self._may[r]
        caps = {cap.instance_id: cap.max_in_flight for cap in table.caps}
        self._caps = np.array([float(caps.get(one, DEFAULT_CAP)) for one in self._ids])
        draining = frozenset(table.draining)
        self._open = np.array([one not in draining for one in self._ids])


def _whole(requests: float) -> int:
    """Requests as a counter tells them: part of one is one."""
    return math.ceil(requests - _TRACE)
