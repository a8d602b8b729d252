"""Builders of the controller's data with plausible defaults, so that a test names only what it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from controller.errors import StoreError
from controller.lifecycle.diagnostics import ClassDiagnostics, Diagnostics, EventDiagnostics, Fallback, PoolDiagnostics
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
from controller.model.plan import Commands, InstanceCommand, PlanOrigin, Verb
from controller.signals.present import Present
from controller.tick import Decision, Memory
from router.contract import (
    AllocationTable,
    ClassId,
    ClassWeights,
    EventState,
    InstanceId,
    PoolId,
    PoolWeight,
    Precision,
)

NOW_S = 1_700_000_000.0
__all__ = ["EventState", "Fallback", "GridEvent", "Missing"]


def curves(evidence: Evidence = Evidence.MEASURED) -> PoolCurves:
    return PoolCurves(
        step_base_s=0.015,
        step_per_seq_s=0.0002,
        step_base_j=40.0,
        step_per_seq_j=1.0,
        prefill_s_per_token=1e-5,
        prefill_j_per_token=0.02,
        kv_capacity_tokens=400_000,
        max_num_seqs=256,
        idle_w=900.0,
        sleeping_w=500.0,
        off_w=0.0,
        wake_s=3.0,
        sleep_s=2.0,
        start_s=60.0,
        provenance=Provenance(evidence, "a test"),
    )


def pool(name: str, urls: tuple[str, ...], precision: Precision = Precision.BF16, gpus: int = 2, **more: Any) -> Pool:
    return Pool(
        pool_id=PoolId(name),
        precision=precision,
        gpu="H100",
        gpus_per_instance=gpus,
        instances=tuple(
            Instance(InstanceId(f"{name}-{n}"), url, tuple(f"GPU-{name}-{n}-{g}" for g in range(gpus)))
            for n, url in enumerate(urls)
        ),
        curves=more.pop("curves", curves()),
        **more,
    )


def site(*pools: Pool, **more: Any) -> Site:
    chosen = pools or (
        pool("bf16", ("http://127.0.0.1:1", "http://127.0.0.1:2")),
        pool("int4", ("http://127.0.0.1:3",), Precision.INT4, curves=curves(Evidence.ESTIMATED)),
    )
    occupied = sum(p.gpus_per_instance * len(p.instances) for p in chosen)
    classes = more.pop("classes", (RequestClass(ClassId("standard"), quality_budget_frac=0.01),))
    return Site(name="site", gpus=more.pop("gpus", occupied), pools=chosen, classes=classes, **more)


def present(*pools: Pool) -> Callable[[], Site]:
    """What tells a site that lists its instances."""
    return Present(site(*pools)).site


def reading(
    value_w: float, at_s: float = NOW_S, energy_j: float | None = None, quality: Quality = Quality.DIRECT
) -> Reading:
    return Reading(value_w, energy_j, at_s, "a test", quality)


def instance(
    name: str, state: InstanceState = InstanceState.SERVING, now_s: float = NOW_S, **more: Any
) -> InstanceObservation:
    return InstanceObservation(
        InstanceId(name), PoolId(name.rsplit("-", 1)[0]), state, now_s, more.pop("since_s", now_s), **more
    )


def observation(now_s: float = NOW_S, **more: Any) -> Observation:
    given: dict[str, Any] = {
        "now_s": now_s,
        "instances": (
            instance("bf16-0", now_s=now_s),
            instance("bf16-1", now_s=now_s),
            instance("int4-0", InstanceState.SLEEPING, now_s=now_s),
        ),
        "site_power": reading(4000.0, now_s, quality=Quality.EMULATED),
        "gpu_power": tuple(
            (f"GPU-{name}-{n}-{g}", reading(600.0, now_s, quality=Quality.EMULATED))
            for name, instances in (("bf16", 2), ("int4", 1))
            for n in range(instances)
            for g in range(2)
        ),
        "router": RouterObservation(
            now_s,
            7,
            (ClassDemand(ClassId("standard"), 100.0, 90.0, 9000.0, 18000.0, 2.0, 8, 1, ((PoolId("bf16"), 18000.0),)),),
        ),
        "price_usd_per_mwh": Series((now_s - 60,), (42.0,), now_s + 3600, "usd_per_mwh", "a test"),
        "carbon_kg_per_mwh": Series((now_s - 60,), (310.0,), now_s + 3600, "kg_per_mwh", "a test"),
    }
    return Observation(**{**given, **more})


def table(sequence: int = 7, now_s: float = NOW_S, ttl_s: float = 60.0, **more: Any) -> AllocationTable:
    weights = (ClassWeights(ClassId("standard"), (PoolWeight(PoolId("bf16"), 3.0), PoolWeight(PoolId("int4"), 1.0))),)
    return AllocationTable(sequence, now_s, now_s + ttl_s, "a test", more.pop("weights", weights), **more)


def commands(*instances: tuple[Verb, str], sequence: int = 7, now_s: float = NOW_S) -> Commands:
    return Commands(
        table(sequence, now_s), tuple(InstanceCommand(verb, InstanceId(name), "a test") for verb, name in instances)
    )


def diagnostics(now_s: float = NOW_S, **more: Any) -> Diagnostics:
    given: dict[str, Any] = {
        "now_s": now_s,
        "slow_reasons": ("first",),
        "plan_origin": PlanOrigin.MILP,
        "dispatch_origin": PlanOrigin.DISPATCH,
        "slow_solve_s": 0.12,
        "fast_solve_s": 0.004,
        "fallbacks": (),
        "slack": (),
        "measured_w": 4000.0,
        "measured_age_s": 0.0,
        "router_age_s": 0.0,
        "modelled_w": 3950.0,
        "charged_w": 3970.0,
        "planned_w": 4100.0,
        "bias_w": 0.0,
        "limit_w": None,
        "effective_limit_w": None,
        "price_usd_per_mwh": 42.0,
        "carbon_kg_per_mwh": 310.0,
        "classes": (ClassDiagnostics(ClassId("standard"), 900.0, 100.0, 200.0, 0.002, 0.01),),
        "pools": (
            PoolDiagnostics(PoolId("bf16"), 2, 0, 0, 0, 0, 0, 2, 900.0, 2400.0),
            PoolDiagnostics(PoolId("int4"), 0, 0, 0, 1, 0, 0, 1, 0.0, 500.0),
        ),
        "draining": (),
        "event": None,
        "holding": None,
    }
    return Diagnostics(**{**given, **more})


def event_diagnostics(now_s: float = NOW_S, **more: Any) -> EventDiagnostics:
    given: dict[str, Any] = {
        "event_id": "e1",
        "state": EventState.ACTIVE,
        "limit_w": 3000.0,
        "start_s": now_s - 10,
        "end_s": now_s + 110,
        "ramp_s": 30.0,
        "baseline_w": 4200.0,
        "delivered_w": 200.0,
        "over_limit": False,
    }
    return EventDiagnostics(**{**given, **more})


def decision(site_: Site, now_s: float = NOW_S, memory: Memory | None = None, **more: Any) -> Decision:
    given: dict[str, Any] = {
        "plan": None,
        "dispatch": None,
        "commands": commands(now_s=now_s),
        "publish": True,
        "recommended": (),
        "memory": memory or Memory.initial(site_, now_s),
        "diagnostics": diagnostics(now_s),
    }
    return Decision(**{**given, **more})


def numbered(memory: Memory) -> Memory:
    """A memory one table later."""
    return dataclasses.replace(memory, sequence=memory.sequence + 1)


class ListRecorder:
    """Keeps records in a list; fails while told to."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, float, dict[str, Any]]] = []
        self.is_failing = False

    def record(self, kind: str, time_s: float, payload: dict[str, Any]) -> None:
        if self.is_failing:
            raise StoreError("the disk is full")
        self.kept.append((kind, time_s, payload))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [payload for kept_kind, _, payload in self.kept if kept_kind == kind]
