"""Cells, profiles and curves files as a measurement without noise would give them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from controller.model.perf import PoolCurves
from controller.profile.cells import MeasuredCell, Rest
from controller.profile.design import Cell, Limits, coarse
from controller.profile.estimate import Row, estimate
from controller.profile.facts import EngineFacts
from controller.profile.kernel import Kernel
from controller.profile.options import ProfileOptions
from controller.profile.result import curves_file
from controller.profile.run import Profiled
from controller.profile.subject import Subject
from controller.settings.curves_file import CurvesFile
from tests.fakes.emulated import quick_curves

LIMITS = Limits(max_model_len=8192, kv_capacity_tokens=200_000, max_num_seqs=128)
HIDDEN = quick_curves(
    step_base_s=0.005,
    step_per_seq_s=0.0002,
    step_base_j=10.0,
    step_per_seq_j=0.5,
    prefill_s_per_token=0.00002,
    prefill_j_per_token=0.03,
    kv_capacity_tokens=100_000,
    max_num_seqs=64,
    idle_w=800.0,
)


def row(cell: Cell, curves: PoolCurves = HIDDEN, steps: float = 1000.0, error: tuple[float, float] = (0, 0)) -> Row:
    """What a window of a cell adds up to; `error` of time and energy, relative."""
    _, batch, prompt = cell.terms
    time_s = np.array([curves.step_base_s, curves.step_per_seq_s, curves.prefill_s_per_token])
    prompt_j = curves.p0_w * curves.prefill_s_per_token + curves.prefill_j_per_token
    energy_j = np.array([curves.step_base_j, curves.step_per_seq_j, prompt_j])
    busy_s = float(cell.terms @ time_s) * (1 + error[0])
    return Row(
        steps, steps * batch, steps * prompt, steps * busy_s, steps * float(cell.terms @ energy_j) * (1 + error[1])
    )


def measured(cell: Cell, curves: PoolCurves = HIDDEN, **changes: Any) -> MeasuredCell:
    """A cell without faults."""
    found = row(cell, curves, error=changes.pop("error", (0, 0)))
    whole = MeasuredCell(
        cell=cell,
        row=found,
        power_cv=0.01,
        rate_cv=0.02,
        window_s=found.busy_s,
        running=float(cell.concurrency),
        waiting=0.0,
        itl_s=found.busy_s / found.steps,
        answers=20,
        refused=0,
        preemptions=0,
    )
    return replace(whole, **changes)


def profiled(curves: PoolCurves = HIDDEN, *, noise: float = 0.0, **changes: Any) -> Profiled:
    """A profile of an instance with these curves, each cell off by `noise` one way or the other."""
    options = ProfileOptions(url="http://engine", power="dcgm=http://gpus", out=Path("x.yaml"), quick=True)
    design = options.design()
    errors = [(noise * (-1) ** n, noise * (-1) ** (n // 2)) for n in range(20)]
    cells = tuple(measured(cell, curves, error=errors[n]) for n, cell in enumerate(coarse(design, LIMITS)))
    engine = EngineFacts("model", LIMITS, version="0.32.0", is_told=True, dtype="bf16", gpus=2, gpu_name="H100")
    whole = Profiled(
        subject=Subject(
            engine, Kernel("unquantized", "engine's /server_info"), design, ("GPU-a", "GPU-b"), "H100", None
        ),
        cells=cells,
        rest=Rest(idle_w=curves.idle_w),
        fit=estimate([cell.row for cell in cells], [str(cell.cell) for cell in cells]),
        wall_s=datetime(2026, 3, 4, tzinfo=UTC).timestamp(),
        is_emulated=False,
        drift_frac=0.001,
    )
    return replace(whole, **changes)


def file_of(found: Profiled, **options: Any) -> CurvesFile:
    """The curves file of a profile."""
    return curves_file(
        found, ProfileOptions(url="http://engine", power="dcgm=http://gpus", out=Path("x.yaml"), **options), "0.1.0"
    )
