"""Fits of configurations as JSON's objects. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.energy.bent_fit import BentFit
from controller.energy.step_fit import StepFit
from controller.study.fit.configurations import Fitted, medians
from controller.study.fit.ranks import rank_precisions


def document(fits: Sequence[Fitted]) -> dict[str, object]:
    """Every figure as JSON's objects."""
    return {
        "configurations": [_described(fitted) for fitted in fits],
        "medians": medians(fits),
        "precisions": rank_precisions(fits),
    }


@dataclass(frozen=True, slots=True)
class _Described:
    configuration: str
    kind: str
    rows: int
    left_out: int
    refused: str | None
    straight: dict[str, object] | None
    bent: BentFit | None


def _described(fitted: Fitted) -> _Described:
    fit = fitted.straight
    return _Described(
        fitted.rows.name,
        fitted.rows.kind.value,
        len(fitted.rows.samples),
        len(fitted.odd),
        fitted.refused,
        None if fit is None else _parameters(fit),
        fitted.bent,
    )


def _parameters(fit: StepFit) -> dict[str, object]:
    return {
        "step_base_s": fit.time.intercept,
        "step_per_seq_s": fit.time.slope,
        "step_base_j": fit.energy.intercept,
        "step_per_seq_j": fit.energy.slope,
        "p0_w": fit.p0_w,
        "decode_j_per_token": fit.decode_j_per_token,
        "prefill_s_per_token": fit.prefill_s_per_token,
        "prefill_j_per_token": fit.prefill_j_per_token,
        "held_at_zero": fit.held_at_zero,
        "covariance": fit.covariance,
        "batches": fit.batches,
        "power": fit.power,
        "throughput": fit.throughput,
        "itl": fit.itl,
    }
