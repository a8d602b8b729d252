"""Small scenarios that simulate in a moment: two pools, an hour's rhythm of short requests, steady signals."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from controller.lifecycle.policy import TickPolicy
from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.grid import GridEvent, Series
from controller.model.perf import Evidence, PoolCurves, Provenance
from controller.simulation.replay import Timing
from controller.simulation.scenario import Scenario
from controller.simulation.site import Signals
from controller.simulation.site_router import Request
from router.contract import ClassId, InstanceId, PoolId, Precision

START_S = 1_700_000_000.0
STANDARD, PREMIUM = ClassId("standard"), ClassId("premium")
BF16 = PoolCurves(
    0.02, 0.0002, 50.0, 0.7, 1e-5, 0.03, 100_000, 64, 900.0, 700.0, 500.0, 2.0, 1.0, 60.0,
    Provenance(Evidence.ESTIMATED, "for tests"),
)  # fmt: skip
FP8 = dataclasses.replace(BF16, step_base_j=22.0, step_per_seq_j=0.4, idle_w=450.0, sleeping_w=150.0, off_w=100.0)


def pool(name: str, precision: Precision, instances: int, curves: PoolCurves, gpus: int, **more: Any) -> Pool:
    return Pool(
        pool_id=PoolId(name),
        precision=precision,
        gpu="H100",
        gpus_per_instance=gpus,
        instances=tuple(
            Instance(
                InstanceId(f"{name}-{n}"), f"http://127.0.0.1:{n + 1}", tuple(f"{name}-{n}-{g}" for g in range(gpus))
            )
            for n in range(instances)
        ),
        curves=curves,
        min_up_s=10.0,
        **more,
    )


def site() -> Site:
    return Site(
        name="small",
        gpus=8,
        pools=(
            pool("bf16", Precision.BF16, 3, BF16, 2, min_on=1),
            pool("fp8", Precision.FP8, 2, FP8, 1, quality_loss_frac=0.006),
        ),
        classes=(
            RequestClass(STANDARD, quality_usd_per_mtoken=500.0, expected_input_tokens=100, expected_output_tokens=60),
            RequestClass(PREMIUM, precisions=(Precision.BF16,), expected_input_tokens=100, expected_output_tokens=60),
        ),
        pue=1.2,
    )


def requests(seconds: float, per_s: float, seed: int) -> tuple[Request, ...]:
    rng = random.Random(seed)
    out: list[Request] = []
    time_s = 0.0
    while (time_s := time_s + rng.expovariate(per_s)) < seconds:
        chosen = PREMIUM if rng.random() < 0.2 else STANDARD
        out.append(Request(len(out), time_s, chosen, rng.randint(20, 200), rng.randint(10, 110)))
    return tuple(out)


def mixed(
    seconds: float = 120.0, per_s: float = 75.0, seed: int = 1, events: tuple[GridEvent, ...] = (), **policy: Any
) -> Scenario:
    """Two pools, of which BF16 alone would be enough; `policy` changes single fields of the policy."""
    end_s = START_S + 7200.0
    return Scenario(
        site=site(),
        policy=dataclasses.replace(
            TickPolicy(step_s=30.0, steps=4, slow_interval_s=20.0, warmup_s=10.0, utilisation_frac=0.8), **policy
        ),
        requests=requests(seconds, per_s, seed),
        signals=Signals(
            Series((START_S - 60.0,), (500.0,), end_s, "usd_per_mwh", "for tests"),
            Series((START_S - 60.0,), (300.0,), end_s, "kg_per_mwh", "for tests"),
            events,
        ),
        timing=Timing(START_S, seconds, tick_s=2.0),
    )
