"""Fits of every configuration of a file, and their median errors. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from controller.energy.bent_fit import BentFit, fit_bent
from controller.energy.steady_sample import Sample, in_steady_state
from controller.energy.step_fit import StepFit, fit_steps
from controller.energy.verdict import narrowed, refusal
from controller.errors import FitRefused
from controller.study.fit.rows import Kind, Rows


@dataclass(frozen=True, slots=True)
class Fitted:
    """One configuration.

    Attributes:
        odd: samples out of steady state, which are left out.
        straight: None where the measurements carry no fit.
        bent: None where they carry none, or prompt tokens were counted.
        refused: why plans may not be made with `straight`; None where they may.
        narrowed: of a refused one, an accepted fit to fewer batches; None where there is none.
    """

    rows: Rows
    odd: tuple[Sample, ...]
    straight: StepFit | None
    bent: BentFit | None
    refused: str | None
    narrowed: StepFit | None = None


def fit_rows(rows: Rows) -> Fitted:
    """Both fits of a configuration; a refusal is a result."""
    odd = tuple(sample for sample in rows.samples if not in_steady_state(sample))
    try:
        straight = fit_steps(rows.samples)
    except FitRefused as error:
        return Fitted(rows, odd, None, None, str(error))
    refused = refusal(straight)
    return Fitted(
        rows, odd, straight, _bent(straight), refused, None if refused is None else narrowed(straight.samples)
    )


def _bent(straight: StepFit) -> BentFit | None:
    if straight.prefill_s_per_token is not None:
        return None
    try:
        return fit_bent(straight.samples)
    except FitRefused:
        return None


@dataclass(frozen=True, slots=True)
class Medians:
    """Median held-out errors over the configurations of a kind; bent over those that carry a bent fit."""

    kind: Kind
    configurations: int
    refused: int
    power_frac: float
    throughput_frac: float
    itl_frac: float
    bent_power_frac: float | None
    bent_throughput_frac: float | None
    bent_itl_frac: float | None


def medians(fits: Sequence[Fitted]) -> tuple[Medians, ...]:
    """By kind, in the order of `Kind`, where there is a fit."""
    found = []
    for kind in Kind:
        straight = [f.straight for f in fits if f.rows.kind is kind and f.straight is not None]
        bent = [f.bent for f in fits if f.rows.kind is kind and f.bent is not None]
        if not straight:
            continue
        found.append(
            Medians(
                kind,
                len(straight),
                sum(f.refused is not None for f in fits if f.rows.kind is kind),
                median(f.power.held_out_mape_frac for f in straight),
                median(f.throughput.held_out_mape_frac for f in straight),
                median(f.itl.held_out_mape_frac for f in straight),
                median(f.power.held_out_mape_frac for f in bent) if bent else None,
                median(f.throughput.held_out_mape_frac for f in bent) if bent else None,
                median(f.itl.held_out_mape_frac for f in bent) if bent else None,
            )
        )
    return tuple(found)
