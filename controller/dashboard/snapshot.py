"""The state of the system as the page and the API show it: plain JSON built from the runner's status; pure."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.dashboard.rates import Window
from controller.lifecycle.roster import site_now
from controller.loop.status import Status
from controller.model.fleet import Pool, RequestClass, Site
from controller.model.grid import Series
from controller.model.mode import Mode
from controller.model.observation import (
    ClassDemand,
    InstanceObservation,
    InstanceState,
    Missing,
    Observation,
    PowerSourceState,
    Quality,
    Reading,
    RouterObservation,
)
from controller.signals.latency import Latency
from controller.tick import Decision, Diagnostics
from router.contract import InstanceId, PoolId

Json = dict[str, Any]
_MAX_NAMED = 8


@dataclass(frozen=True, slots=True)
class SolverFigures:
    """Last known solver times, and the ticks on which the plan or the dispatch fell back."""

    slow_ms: float | None = None
    fast_ms: float | None = None
    fallbacks: int = 0


@dataclass(frozen=True, slots=True)
class Derived:
    """What is derived from the course of the statuses."""

    window: Window
    latency: Latency
    solver: SolverFigures
    served_tokens: float | None
    refused_requests: float | None


def build(site: Site, status: Status, derived: Derived, mode: str, stale_s: float) -> Json:
    """The snapshot; units stand in the keys, None is not known.

    Args:
        site: the fleet.
        status: of the loop.
        derived: from the statuses before it.
        mode: of the controller.
        stale_s: age beyond which a power reading counts as missing.
    """
    observation = status.observation
    diagnostics = status.decision.diagnostics if status.decision is not None else None
    pools = site_now(site, observation.rosters).pools
    seen = _Seen.of(observation, diagnostics, stale_s)
    readings = [reading for _, reading in observation.gpu_power if isinstance(reading, Reading)]
    latency = derived.latency
    return {
        "schema_version": 1,
        "now_s": observation.now_s,
        "site": site.name,
        "mode": mode,
        "emulated": any(reading.quality is Quality.EMULATED for reading in readings),
        "power": _power(observation, diagnostics),
        "price_usd_per_mwh": _in_force(observation.price_usd_per_mwh, observation.now_s),
        "carbon_kg_per_mwh": _in_force(observation.carbon_kg_per_mwh, observation.now_s),
        "event": _event(diagnostics),
        "pools": [
            _pool(pool, seen, diagnostics, derived.window)
            | {"mode": pool.mode.within(Mode(mode)).value, "recommended": _recommended(pool, status.decision)}
            | {"j_per_output_token": dict(status.j_per_output_token.get(pool.pool_id, {}))}
            for pool in pools
        ],
        "classes": [_class(cls, observation, status, diagnostics) for cls in site.classes],
        "latency": {
            "ttft_p50_s": latency.ttft_p50_s,
            "ttft_p99_s": latency.ttft_p99_s,
            "itl_p50_s": latency.itl_p50_s,
            "itl_p99_s": latency.itl_p99_s,
        },
        "tokens": {"served": derived.served_tokens, "refused": derived.refused_requests},
        "j_per_output_token": derived.window.j_per_output_token,
        "energy_j": status.energy_j,
        "solver": {
            "slow_ms": derived.solver.slow_ms,
            "fast_ms": derived.solver.fast_ms,
            "origin": diagnostics.plan_origin.value if diagnostics and diagnostics.plan_origin else None,
            "fallbacks": derived.solver.fallbacks,
        },
        "slack": [
            {"promise": item.promise, "subject": item.subject, "amount": item.amount, "unit": item.unit}
            for item in (diagnostics.slack if diagnostics else ())
        ],
        "foreseen": [dataclasses.asdict(each) for each in (diagnostics.foreseen if diagnostics else ())],
        "precedence": diagnostics.precedence.value if diagnostics else None,
        "ladder": _ladder(status, diagnostics),
        "sequence": status.decision.commands.table.sequence if status.decision else None,
        "acknowledged_sequence": observation.router.acknowledged_sequence
        if isinstance(observation.router, RouterObservation)
        else None,
    }


def _power(observation: Observation, diagnostics: Diagnostics | None) -> Json:
    power = observation.site_power
    reading = power if isinstance(power, Reading) else None
    event = diagnostics.event if diagnostics else None
    ladder = observation.power_ladder
    return {
        "measured_w": reading.value_w if reading else None,
        "predicted_w": diagnostics.planned_w if diagnostics else None,
        "modelled_w": diagnostics.modelled_w if diagnostics else None,
        "limit_w": diagnostics.limit_w if diagnostics else None,
        "baseline_w": event.baseline_w if event else None,
        "source": power.source,
        "quality": reading.quality.value if reading else None,
        "age_s": max(0.0, observation.now_s - reading.observed_at_s) if reading else None,
        "missing": power.reason if isinstance(power, Missing) else None,
        "rung": diagnostics.power_rung.value if diagnostics else None,
        "margin_frac": diagnostics.margin_frac if diagnostics else None,
        "sources": [_source(state) for state in ladder.sources] if ladder else [],
        "conflicts": [one.subject for one in ladder.conflicts[:_MAX_NAMED]] if ladder else [],
    }


def _source(state: PowerSourceState) -> Json:
    return {
        "name": state.name,
        "rung": state.rung.value,
        "gpus": state.gpus,
        "age_s": state.age_s,
        "error": state.error,
    }


def _in_force(feed: Series | Missing, now_s: float) -> float | None:
    return feed.at(now_s) if isinstance(feed, Series) else None


def _event(diagnostics: Diagnostics | None) -> Json | None:
    event = diagnostics.event if diagnostics else None
    if event is None:
        return None
    return {
        "event_id": event.event_id,
        "state": event.state.value,
        "limit_w": event.limit_w,
        "asked_limit_w": event.asked_limit_w,
        "start_s": event.start_s,
        "end_s": event.end_s,
        "ramp_s": event.ramp_s,
        "baseline_w": event.baseline_w,
        "delivered_w": event.delivered_w,
        "over_limit": event.over_limit,
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was seen, by pool and by GPU.

    Attributes:
        fresh: readings that are not stale, by the GPU's UUID.
        draining: instances that serve their last requests.
    """

    instances: Mapping[PoolId, list[InstanceObservation]]
    fresh: Mapping[str, Reading]
    draining: set[InstanceId]

    @classmethod
    def of(cls, observation: Observation, diagnostics: Diagnostics | None, stale_s: float) -> _Seen:
        instances: defaultdict[PoolId, list[InstanceObservation]] = defaultdict(list)
        for each in observation.instances:
            instances[each.pool_id].append(each)
        since_s = observation.now_s - stale_s
        fresh = {
            uuid: reading
            for uuid, reading in observation.gpu_power
            if isinstance(reading, Reading) and reading.observed_at_s >= since_s
        }
        return cls(instances, fresh, set(diagnostics.draining) if diagnostics else set())


def _pool(pool: Pool, seen: _Seen, diagnostics: Diagnostics | None, window: Window) -> Json:
    watts = {
        instance.instance_id: _sum_w([seen.fresh.get(uuid) for uuid in instance.gpu_uuids])
        for instance in pool.instances
    }
    instances = [
        {
            "instance_id": each.instance_id,
            "state": shown_state(each, seen.draining),
            "running": each.running,
            "waiting": each.waiting,
            "power_w": watts.get(each.instance_id),
        }
        for each in seen.instances.get(pool.pool_id, ())
    ]
    states = [item["state"] for item in instances]
    is_heard = any(state != InstanceState.UNREACHABLE.value for state in states)
    known_w = [value for value in watts.values() if value is not None]
    target = next((p.target_on for p in diagnostics.pools if p.pool_id == pool.pool_id), None) if diagnostics else None
    return {
        "pool_id": pool.pool_id,
        "precision": pool.precision.value,
        "gpu": pool.gpu,
        "gpus_per_instance": pool.gpus_per_instance,
        "on": states.count("serving"),
        "draining": states.count("draining"),
        "sleeping": states.count("sleeping"),
        "target_on": target,
        "instances": instances,
        "power_w": sum(known_w) if len(known_w) == len(watts) else None,
        "output_tokens_per_s": window.output_tokens_per_s.get(pool.pool_id) if is_heard else None,
        "share_frac": window.share_frac.get(pool.pool_id),
        "evidence": pool.curves.provenance.evidence.value,
        "evidence_source": pool.curves.provenance.source,
    }


def _recommended(pool: Pool, decision: Decision | None) -> list[str]:
    """What would be done to a pool's instances, where it is only told."""
    names = {instance.instance_id for instance in pool.instances}
    told = () if decision is None else decision.recommended
    return [f"{step.verb.value} {step.instance_id}: {step.reason}" for step in told if step.instance_id in names]


def shown_state(seen: InstanceObservation, draining: set[InstanceId]) -> str:
    """The state of an instance, or ``draining`` for one that serves its last requests."""
    is_draining = seen.state is InstanceState.SERVING and seen.instance_id in draining
    return "draining" if is_draining else seen.state.value


def _sum_w(readings: list[Reading | None]) -> float | None:
    known = [reading.value_w for reading in readings if reading is not None]
    return sum(known) if readings and len(known) == len(readings) else None


def _class(cls: RequestClass, observation: Observation, status: Status, diagnostics: Diagnostics | None) -> Json:
    router = observation.router
    demands: tuple[ClassDemand, ...] = router.demand if isinstance(router, RouterObservation) else ()
    seen = next((item for item in demands if item.class_id == cls.class_id), None)
    planned = next((c for c in diagnostics.classes if c.class_id == cls.class_id), None) if diagnostics else None
    weights = status.decision.commands.table.weights if status.decision else ()
    own = next((entry.pools for entry in weights if entry.class_id == cls.class_id), ())
    total = sum(entry.weight for entry in own)
    burnt = planned.quality_burnt_frac if planned else None
    return {
        "class_id": cls.class_id,
        "weights": {entry.pool_id: entry.weight / total for entry in own} if total > 0 else {},
        "demand_tokens_per_s": planned.demand_tokens_per_s if planned else None,
        "in_flight": seen.in_flight if seen else None,
        "queued": seen.queued if seen else None,
        "quality_burnt_frac": burnt,
        "quality_budget_frac": cls.quality_budget_frac,
        "quality_burn_frac": burnt / cls.quality_budget_frac if burnt is not None and cls.quality_budget_frac else None,
    }


def _ladder(status: Status, diagnostics: Diagnostics | None) -> list[Json]:
    """Every step that is below its best, the loop's own faults first."""
    steps = [{"ladder": "loop", "step": fault.step, "reason": fault.reason, "subject": ""} for fault in status.faults]
    if diagnostics is not None:
        steps += [
            {"ladder": f.ladder, "step": f.step, "reason": f.reason, "subject": f.subject}
            for f in diagnostics.steps_down
        ]
    return steps
