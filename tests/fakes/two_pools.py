"""A small site of two pools with its allocation tables and requests, for the simulated site and its router."""

from __future__ import annotations

from controller.model.fleet import Instance, Pool, RequestClass, Site
from controller.model.perf import Evidence, PoolCurves, Provenance
from controller.simulation.site_router import Request
from router.contract import (
    AllocationTable,
    ClassId,
    ClassWeights,
    InstanceCap,
    InstanceId,
    PoolId,
    PoolWeight,
    Precision,
)

CURVES = PoolCurves(
    step_base_s=0.02,
    step_per_seq_s=0.0002,
    step_base_j=50.0,
    step_per_seq_j=0.6,
    prefill_s_per_token=1e-5,
    prefill_j_per_token=0.03,
    kv_capacity_tokens=100_000,
    max_num_seqs=64,
    idle_w=900.0,
    sleeping_w=700.0,
    off_w=500.0,
    wake_s=3.0,
    sleep_s=2.0,
    start_s=60.0,
    provenance=Provenance(Evidence.ESTIMATED, "test"),
)
A, B = PoolId("a"), PoolId("b")
ANY = ClassId("any")
ONLY_A = ClassId("only-a")


def pool(pool_id: PoolId, precision: Precision, instances: int) -> Pool:
    return Pool(
        pool_id=pool_id,
        precision=precision,
        gpu="H100",
        gpus_per_instance=2,
        instances=tuple(
            Instance(InstanceId(f"{pool_id}-{n}"), f"http://x:{n + 1}", (f"{pool_id}{n}x", f"{pool_id}{n}y"))
            for n in range(instances)
        ),
        curves=CURVES,
    )


SITE = Site(
    name="s",
    gpus=9,
    pools=(pool(A, Precision.BF16, 2), pool(B, Precision.FP8, 2)),
    classes=(RequestClass(ANY), RequestClass(ONLY_A, precisions=(Precision.BF16,))),
    pue=1.5,
    aux_w=100.0,
    spare_gpu_w=80.0,
)


def table(
    sequence: int = 1, a: float = 1.0, b: float = 1.0, draining: tuple[str, ...] = (), cap: int | None = None
) -> AllocationTable:
    pools = tuple(PoolWeight(p, w) for p, w in ((A, a), (B, b)))
    return AllocationTable(
        sequence=sequence,
        issued_at_s=0.0,
        expires_at_s=1e9,
        issuer="test",
        weights=(ClassWeights(ANY, pools), ClassWeights(ONLY_A, (PoolWeight(A, 1.0),))),
        caps=() if cap is None else tuple(InstanceCap(i.instance_id, cap) for p in SITE.pools for i in p.instances),
        draining=tuple(InstanceId(name) for name in draining),
    )


def request(index: int, time_s: float = 0.0, class_id: ClassId = ANY, output_tokens: int = 10) -> Request:
    return Request(index, time_s, class_id, 100, output_tokens)
