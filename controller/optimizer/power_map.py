"""The map from quantization to power: what each configuration of a model is worth to a class of requests. Pure.

Every (model, precision, GPU, tensor parallelism) and class gives one `Dispatchable`: what the plan may dispatch, at the
class's latency and lengths. With the step time T(B) = a + b·B, ρ prompt tokens for each output token and s the engine
time of a prompt token, the largest batch B that keeps the class's inter-token latency (controller.optimizer.workload)
gives

    capacity          μ = B / (a + (b + ρ·s)·B)        [output tokens/s of one instance]
    power at a rate   P(y) = P0 + e·y,  e = e_decode + ρ·e_prefill,  0 < y ≤ μ        [W]

so that P(μ)/μ is the least energy of an output token within the promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.errors import ProblemError
from controller.model.fleet import Pool, RequestClass
from controller.model.perf import GroupProvenance, PoolCurves
from controller.optimizer.workload import Lengths, busy_s_per_token, j_per_token, slo_batch
from router.contract import Precision


@dataclass(frozen=True, slots=True)
class Variant:
    """One configuration of a model: precision, GPU and tensor parallelism.

    Attributes:
        name: of the pool, or of the built-in profile.
        gpus_per_instance: GPUs that an instance occupies.
        quality_loss_frac: mean score lost against the model's best precision; None where it is not known.
        precision: at which classes may tell losses of their own; None where that is of no interest.
    """

    name: str
    gpus_per_instance: int
    curves: PoolCurves
    quality_loss_frac: float | None = None
    precision: Precision | None = None

    @classmethod
    def of(cls, pool: Pool) -> Variant:
        """The configuration that a pool runs."""
        return cls(pool.pool_id, pool.gpus_per_instance, pool.curves, pool.quality_loss_frac, pool.precision)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state of one instance: time, and energy drawn during it."""

    seconds: float
    joules: float


@dataclass(frozen=True, slots=True)
class Dispatchable:
    """One configuration for one class.

    Attributes:
        batch: largest mean batch that keeps the class's inter-token latency; below 1 it cannot be kept.
        capacity_tokens_per_s: output tokens/s of one instance at that batch; 0 where the latency cannot be kept.
        busy_s_per_token: engine time of an output token at that batch, its share of prompt work included.
        gpus_per_instance: GPU occupancy.
        p0_w: power of an instance that decodes at all.
        decode_j_per_token: energy above P0·time of a decoded token, e_decode.
        prefill_j_per_token: the same of a prompt token, e_prefill.
        j_per_token: both for an output token of the class, e.
        idle_w, sleeping_w, off_w: whole instance: loaded without work, asleep, process stopped.
        quality_loss_frac: of the class's tokens served here; None where it is not known.
        wake, fall_asleep, start: from sleeping to serving, from serving to sleeping, cold start; the instance draws
            `idle_w` meanwhile.
        provenance: of each group of figures.
    """

    name: str
    batch: float
    capacity_tokens_per_s: float
    busy_s_per_token: float
    gpus_per_instance: int
    p0_w: float
    decode_j_per_token: float
    prefill_j_per_token: float
    j_per_token: float
    idle_w: float
    sleeping_w: float
    off_w: float
    quality_loss_frac: float | None
    wake: Change
    fall_asleep: Change
    start: Change
    provenance: GroupProvenance

    @property
    def keeps_latency(self) -> bool:
        """Whether at least one sequence is served within the class's latency."""
        return self.batch >= 1.0

    @property
    def w_at_capacity(self) -> float | None:
        """Power of an instance at its capacity; None where it has none."""
        return self.p0_w + self.j_per_token * self.capacity_tokens_per_s if self.keeps_latency else None

    @property
    def j_per_token_at_capacity(self) -> float | None:
        """Energy of an output token at capacity, P0 included; None where there is no capacity."""
        power_w = self.w_at_capacity
        return None if power_w is None else power_w / self.capacity_tokens_per_s


@dataclass(frozen=True, slots=True)
class PowerMap:
    """Every configuration for every class; rows [r][k] in the order of classes and configurations."""

    rows: tuple[tuple[Dispatchable, ...], ...]

    @property
    def batches(self) -> tuple[tuple[float, ...], ...]:
        """[r][k], largest batch within the class's latency."""
        return tuple(tuple(cell.batch for cell in row) for row in self.rows)

    @property
    def busy_s_per_token(self) -> tuple[tuple[float, ...], ...]:
        """[r][k], engine time of an output token."""
        return tuple(tuple(cell.busy_s_per_token for cell in row) for row in self.rows)

    @property
    def j_per_token(self) -> tuple[tuple[float, ...], ...]:
        """[r][k], energy of an output token above P0·time."""
        return tuple(tuple(cell.j_per_token for cell in row) for row in self.rows)


def power_map(variants: Sequence[Variant], classes: Sequence[RequestClass], lengths: Sequence[Lengths]) -> PowerMap:
    """The map of a fleet; `lengths` are of each class.

    Raises:
        ValueError: there are not as many lengths as classes.
    """
    return PowerMap(tuple(rows(variants, cls, length) for cls, length in zip(classes, lengths, strict=True)))


def rows(variants: Sequence[Variant], request_class: RequestClass, lengths: Lengths) -> tuple[Dispatchable, ...]:
    """One class's row of the map.

    Raises:
        ProblemError: the latency or the lengths are not positive figures.
    """
    _check(request_class, lengths)
    return tuple(_dispatchable(variant, request_class, lengths) for variant in variants)


def _check(request_class: RequestClass, lengths: Lengths) -> None:
    figures = (
        ("itl_slo_s", request_class.itl_slo_s, "give the longest time between two tokens, for example 0.06"),
        ("output_tokens", lengths.output_tokens, "give the mean length of an answer, for example 256"),
    )
    for name, value, remedy in figures:
        if not value > 0:
            raise ProblemError(
                f"class {request_class.class_id!r}: {name} is {value:g}, which is not above zero; {remedy}"
            )
    if not math.isfinite(lengths.input_tokens) or lengths.input_tokens < 0:
        raise ProblemError(
            f"class {request_class.class_id!r}: input_tokens is {lengths.input_tokens:g}; "
            "give the mean length of a prompt, for example 1024"
        )


def _dispatchable(variant: Variant, request_class: RequestClass, lengths: Lengths) -> Dispatchable:
    curves, told = variant.curves, request_class.quality_loss_frac
    batch = slo_batch(curves, request_class, lengths)
    busy_s = busy_s_per_token(curves, batch, lengths)
    return Dispatchable(
        name=variant.name,
        batch=batch,
        capacity_tokens_per_s=1.0 / busy_s if batch >= 1.0 else 0.0,
        busy_s_per_token=busy_s,
        gpus_per_instance=variant.gpus_per_instance,
        p0_w=curves.p0_w,
        decode_j_per_token=curves.decode_j_per_token,
        prefill_j_per_token=curves.prefill_j_per_token,
        j_per_token=j_per_token(curves, lengths),
        idle_w=curves.idle_w,
        sleeping_w=curves.sleeping_w,
        off_w=curves.off_w,
        quality_loss_frac=next((loss for at, loss in told if at is variant.precision), variant.quality_loss_frac),
        wake=Change(curves.wake_s, curves.wake_s * curves.idle_w),
        fall_asleep=Change(curves.sleep_s, curves.sleep_s * curves.idle_w),
        start=Change(curves.start_s, curves.start_s * curves.idle_w),
        provenance=curves.group_provenance,
    )
