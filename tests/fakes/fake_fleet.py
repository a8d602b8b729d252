"""Sites for tests of the planning side, and a fleet that obeys tables and commands under a virtual clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from controller.model.fleet import Instance, Pool, RequestClass, Site
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
from controller.model.perf import Evidence, PoolCurves, Provenance
from controller.model.plan import InstanceCommand, Verb
from controller.tick import Decision
from router.contract import AllocationTable, ClassId, InstanceId, PoolId, Precision

INPUT_TOKENS, OUTPUT_TOKENS = 1155.0, 211.0


def curves(a: float, b: float, energy: tuple[float, float], gpus: int, prefill_s: float) -> PoolCurves:
    """Curves with round figures beside the measured step time and energy."""
    return PoolCurves(
        step_base_s=a,
        step_per_seq_s=b,
        step_base_j=energy[0],
        step_per_seq_j=energy[1],
        prefill_s_per_token=prefill_s,
        prefill_j_per_token=prefill_s * 100.0 * gpus,
        kv_capacity_tokens=300_000,
        max_num_seqs=1024,
        idle_w=120.0 * gpus,
        sleeping_w=75.0 * gpus,
        off_w=70.0 * gpus,
        wake_s=5.0,
        sleep_s=3.0,
        start_s=100.0,
        provenance=Provenance(Evidence.ESTIMATED, "test"),
    )


BF16 = curves(0.0261, 0.000164, (82.5, 0.774), 8, 14e-6)
FP8 = curves(0.0376, 0.000147, (78.1, 0.456), 4, 18e-6)
INT4 = curves(0.0376, 0.000147, (39.0, 0.228), 2, 36e-6)


def pool(name: str, precision: Precision, gpus: int, count: int, c: PoolCurves, loss: float = 0.0) -> Pool:
    """A pool whose instances are `name-0`, `name-1`, ..."""
    return Pool(
        pool_id=PoolId(name),
        precision=precision,
        gpu="H100",
        gpus_per_instance=gpus,
        instances=tuple(
            Instance(
                InstanceId(f"{name}-{i}"),
                f"http://127.0.0.1:{9000 + i}",
                tuple(f"GPU-emulated-{name}-{i}-{n}" for n in range(gpus)),
            )
            for i in range(count)
        ),
        curves=c,
        quality_loss_frac=loss,
        min_up_s=20.0,
        start_usd=1e-3,
    )


def site(**changes: object) -> Site:
    """Three pools of one model and three classes."""
    whole = Site(
        name="test",
        gpus=4 * 8 + 5 * 4 + 5 * 2,
        pools=(
            pool("bf16", Precision.BF16, 8, 4, BF16),
            pool("fp8", Precision.FP8, 4, 5, FP8, 0.003),
            pool("int4", Precision.INT4, 2, 5, INT4, 0.012),
        ),
        classes=(
            RequestClass(
                ClassId("premium"),
                (Precision.BF16, Precision.FP8),
                quality_budget_frac=0.002,
                serve_usd_per_mtoken=5000.0,
                expected_input_tokens=INPUT_TOKENS,
                expected_output_tokens=OUTPUT_TOKENS,
            ),
            RequestClass(
                ClassId("standard"),
                (),
                quality_budget_frac=0.006,
                expected_input_tokens=INPUT_TOKENS,
                expected_output_tokens=OUTPUT_TOKENS,
            ),
            RequestClass(
                ClassId("flex"),
                (),
                quality_budget_frac=0.02,
                serve_usd_per_mtoken=200.0,
                expected_input_tokens=INPUT_TOKENS,
                expected_output_tokens=OUTPUT_TOKENS,
            ),
        ),
        pue=1.1,
        aux_w=500.0,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


@dataclass
class FakeEngine:
    """One engine: requests in the batch with the tokens each still has to decode."""

    pool: Pool
    instance_id: InstanceId
    state: InstanceState = InstanceState.SERVING
    since_s: float = 0.0
    ready_s: float | None = None
    left: list[float] = field(default_factory=list)
    generation_tokens: float = 0.0
    prompt_tokens: float = 0.0
    power_w: float = 0.0
    lost: int = 0

    def obey(self, command: InstanceCommand, now_s: float) -> None:
        """Begin what was commanded; a sleeping or stopping engine loses what it has."""
        c = self.pool.curves
        becomes = {
            Verb.SLEEP: (InstanceState.SLEEPING, c.sleep_s),
            Verb.WAKE: (InstanceState.WAKING, c.wake_s),
            Verb.START: (InstanceState.STARTING, c.start_s),
            Verb.STOP: (InstanceState.OFF, 0.0),
        }
        state, wait_s = becomes[command.verb]
        if command.verb in (Verb.SLEEP, Verb.STOP):
            self.lost += len(self.left)
            self.left = []
        self.state, self.since_s = state, now_s
        self.ready_s = now_s + wait_s if state in (InstanceState.WAKING, InstanceState.STARTING) else None

    def run(self, now_s: float, dt_s: float) -> float:
        """Decode for a while; returns the output tokens made."""
        if self.ready_s is not None and now_s >= self.ready_s:
            self.state, self.since_s, self.ready_s = InstanceState.SERVING, now_s, None
        c = self.pool.curves
        resting = {InstanceState.SLEEPING: c.sleeping_w, InstanceState.OFF: c.off_w}
        self.power_w = resting.get(self.state, c.idle_w)
        if self.state is not InstanceState.SERVING or not self.left:
            return 0.0
        batch = len(self.left)
        ratio = INPUT_TOKENS / OUTPUT_TOKENS
        each = dt_s / (c.step_base_s + (c.step_per_seq_s + ratio * c.prefill_s_per_token) * batch)
        made = sum(min(each, left) for left in self.left)
        self.left = [left - each for left in self.left if left > each]
        self.generation_tokens += made
        self.prompt_tokens += made * ratio
        self.power_w = c.p0_w + (c.decode_j_per_token + ratio * c.prefill_j_per_token) * made / dt_s
        return made


class FakeFleet:
    """Engines and a router that obey; requests arrive evenly and have equal lengths.

    A request goes to its class's pools by their weights, and waits while none has room; higher priority goes first.
    """

    def __init__(self, of: Site, rps: dict[str, float], start_s: float = 1000.0) -> None:
        self.site = of
        self.rps = rps
        self.priority = {str(cls.class_id): cls.priority for cls in of.classes}
        self.now_s = start_s
        self.events: tuple[GridEvent, ...] = ()
        self.table: AllocationTable | None = None
        self.engines = [
            FakeEngine(p, instance.instance_id, since_s=start_s - 600.0) for p in of.pools for instance in p.instances
        ]
        self.due = dict.fromkeys(rps, 0.0)
        self.requests = dict.fromkeys(rps, 0.0)
        self.by_pool = {(name, p.pool_id): 0.0 for name in rps for p in of.pools}
        self.sent = {(name, p.pool_id): 0.0 for name in rps for p in of.pools}
        self.waiting: list[tuple[int, float, str]] = []
        self.unrouted = 0
        self.misrouted = 0
        self.watts: list[tuple[float, float]] = []
        self.meter_works = True
        self.router_works = True
        self.meter_gain = 1.0

    @property
    def power_w(self) -> float:
        """True power at the meter."""
        return self.site.pue * sum(engine.power_w for engine in self.engines) + self.site.aux_w

    def obey(self, decision: Decision) -> None:
        """Take a decision as the routers and actuators would."""
        if not decision.publish:
            return
        self.table = decision.commands.table
        by_id = {engine.instance_id: engine for engine in self.engines}
        for command in decision.commands.instances:
            by_id[command.instance_id].obey(command, self.now_s)

    def advance(self, duration_s: float, dt_s: float = 0.5) -> None:
        """Let time pass."""
        for _ in range(round(duration_s / dt_s)):
            for name, rps in self.rps.items():
                self.due[name] += rps * dt_s
                while self.due[name] >= 1.0:
                    self.due[name] -= 1.0
                    self.requests[name] += 1
                    self.waiting.append((-self.priority[name], self.now_s, name))
            self._route()
            for engine in self.engines:
                engine.run(self.now_s, dt_s)
            self.now_s += dt_s
            self.watts.append((self.now_s, self.power_w * self.meter_gain))

    def is_open(self, engine: FakeEngine) -> bool:
        """Whether the router may send to an engine that no table keeps from it."""
        return True

    def _route(self) -> None:
        """Send what waits, as far as there is room."""
        left, full = [], set[str]()
        for request in sorted(self.waiting):
            name = request[2]
            if name in full or not self._sent(name):
                full.add(name)
                left.append(request)
        self.waiting = left

    def _sent(self, name: str) -> bool:
        """Whether a request is off: sent, or counted as one that could not be."""
        weights = {p.pool_id: 1.0 for p in self.site.pools}
        draining: tuple[InstanceId, ...] = ()
        caps: dict[InstanceId, int] = {}
        if self.table is not None:
            entry = next(e for e in self.table.weights if e.class_id == name)
            weights = {w.pool_id: w.weight for w in entry.pools}
            draining = self.table.draining
            caps = {cap.instance_id: cap.max_in_flight for cap in self.table.caps}
        total = sum(weights.values())
        sent = sum(self.sent[name, pool_id] for pool_id in weights)
        open_to = [
            e for e in self.engines if e.pool.pool_id in weights and e.instance_id not in draining and self.is_open(e)
        ]
        if not open_to:
            self.unrouted += 1
            return True
        free = [e for e in open_to if len(e.left) < caps.get(e.instance_id, math.inf)]
        if not free:
            return False
        behind = {p: (weights[p] / total) * (sent + OUTPUT_TOKENS) - self.sent[name, p] for p in weights}
        engine = min(free, key=lambda e: (-behind[e.pool.pool_id], len(e.left)))
        if engine.state is not InstanceState.SERVING:
            self.misrouted += 1
            return True
        engine.left.append(OUTPUT_TOKENS)
        self.sent[name, engine.pool.pool_id] += OUTPUT_TOKENS
        self.by_pool[name, engine.pool.pool_id] += OUTPUT_TOKENS
        return True

    def observe(self) -> Observation:
        """What a controller would see now."""
        now_s = self.now_s
        power = Reading(self.watts[-1][1] if self.watts else self.power_w, None, now_s, "meter", Quality.EMULATED)
        demand = tuple(
            ClassDemand(
                ClassId(name),
                count,
                count,
                count * INPUT_TOKENS,
                count * OUTPUT_TOKENS,
                output_tokens_by_pool=tuple((p.pool_id, self.by_pool[name, p.pool_id]) for p in self.site.pools),
            )
            for name, count in self.requests.items()
        )
        sequence = -1 if self.table is None else self.table.sequence
        return Observation(
            now_s=now_s,
            instances=tuple(
                InstanceObservation(
                    engine.instance_id,
                    engine.pool.pool_id,
                    engine.state,
                    now_s,
                    engine.since_s,
                    running=len(engine.left),
                    prompt_tokens=engine.prompt_tokens,
                    generation_tokens=engine.generation_tokens,
                )
                for engine in self.engines
            ),
            site_power=power if self.meter_works else Missing("meter", "unplugged", now_s),
            gpu_power=(),
            router=RouterObservation(now_s, sequence, demand, highest=("router", sequence))
            if self.router_works
            else Missing("router", "refused", now_s),
            price_usd_per_mwh=Series((0.0,), (60.0,), 1e9, "usd_per_mwh", "test"),
            carbon_kg_per_mwh=Series((0.0,), (400.0,), 1e9, "kg_per_mwh", "test"),
            events=tuple(event for event in self.events if now_s < event.end_s),
        )
