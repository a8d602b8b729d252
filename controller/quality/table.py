"""Quality lost by model, precision and kind of task, and what stands in where no row fits. Pure.

A loss is in points of the benchmark's score on a scale of 0 to 1: 70.24 % at BF16 and 69.64 % at FP8 is a loss of
0.006. Where several rows fit, the worst counts; a row on which the lower precision scored higher is a loss of 0, as it
shows the benchmark's noise rather than a gain.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from router.contract import Precision

SOURCES = {
    "gmb": "Kurtic et al., 'Give Me BF16 or Give Me Death', arXiv 2411.02355 (ACL 2025)",
    "aimultiple": "aimultiple.com/llm-quantization, Qwen3-32B on one H100",
}
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)b(?![a-z])")
BEST = Precision.BF16
"""What losses are counted against."""


class Task(StrEnum):
    """Kinds of work that quantization touches differently."""

    GENERAL = "general"
    CHAT = "chat"
    CODE = "code"
    MATHEMATICS = "mathematics"
    LONG_CONTEXT = "long_context"
    REASONING = "reasoning"


class Origin(StrEnum):
    """How a row came about."""

    MEASURED = "measured"
    PUBLISHED = "published"
    BOUND = "bound"
    """A figure that is only said to be less."""


@dataclass(frozen=True, slots=True)
class Row:
    """One benchmark of one quantized model.

    Attributes:
        model: lower case, without its publisher.
        parameters_b: billions.
        scheme: how it was quantized.
        loss_frac: points lost on a scale of 0 to 1; negative where more was scored.
        low_frac, high_frac: interval of 95 %, None where unknown.
        source: whose figure it is.
    """

    model: str
    parameters_b: float
    precision: Precision
    scheme: str
    benchmark: str
    task: Task
    loss_frac: float
    origin: Origin
    source: str
    low_frac: float | None = None
    high_frac: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """What the table says of a model, precision and task.

    Attributes:
        loss_frac: never negative.
        is_estimate: no row is of this very model, precision and task.
        how: which rows it comes from, in words.
    """

    loss_frac: float
    is_estimate: bool
    how: str
    rows: tuple[Row, ...]


def published() -> tuple[Row, ...]:
    """The committed rows, each with its source."""
    text = (resources.files("controller.quality") / "data" / "published.csv").read_text("utf-8")
    return tuple(_row(record) for record in csv.DictReader(text.splitlines()))


def normalised(model: str) -> str:
    """A model's name in lower case without its publisher: ``meta-llama/Llama-3.1-8B`` gives ``llama-3.1-8b``."""
    return model.rsplit("/", 1)[-1].lower()


def parameters_b(model: str) -> float | None:
    """Billions of parameters by a model's name; None where it tells none."""
    found = _SIZE.search(normalised(model))
    return float(found[1]) if found else None


def look_up(rows: Sequence[Row], model: str, precision: Precision, task: Task | None) -> Loss | None:
    """Loss of a model at a precision for a kind of task; None where nothing can stand in.

    1. Rows of the model, precision and task: what was measured before what was published.
    2. Else an estimate, the larger of two: the worst task at that precision of the model, or of those nearest to it in
       size (on a logarithmic scale) where it has no rows; and the task at that precision of those nearest in size.

    Args:
        rows: of the table.
        model: as served.
        precision: of the weights.
        task: None for work of no particular kind: the worst task.
    """
    if precision is BEST:
        return Loss(0.0, False, f"{BEST.value} is what losses are counted against", ())
    at = [row for row in rows if row.precision is precision]
    own = [row for row in at if _is_of(model, row)]
    exact = _measured_first([row for row in own if task in (None, row.task)])
    if exact:
        return _worst(exact, False, "measured" if exact[0].origin is Origin.MEASURED else "published")
    size_b = parameters_b(model)
    near = [] if size_b is None else _nearest([row for row in at if row.task is task], size_b)
    rest = own or ([] if size_b is None else _nearest(at, size_b))
    if not rest:
        return None
    told = f"the worst task of {_models(rest)}" + (f" and {task} of {_models(near)}" if near else "")
    return _worst([*_measured_first(rest), *_measured_first(near)], True, f"estimated from {told}")


def _models(rows: Sequence[Row]) -> str:
    return ", ".join(dict.fromkeys(row.model for row in rows))


def _worst(rows: Sequence[Row], is_estimate: bool, how: str) -> Loss:
    return Loss(max(0.0, *(row.loss_frac for row in rows)), is_estimate, how, tuple(rows))


def _measured_first(rows: list[Row]) -> list[Row]:
    measured = [row for row in rows if row.origin is Origin.MEASURED]
    return measured or rows


def _is_of(model: str, row: Row) -> bool:
    name = normalised(model)
    return name == row.model or name.startswith(f"{row.model}-")


def _nearest(rows: list[Row], size_b: float) -> list[Row]:
    """All rows of the size that is nearest; of two sizes as near, the smaller, which loses more."""
    sizes_b = {row.parameters_b for row in rows if math.isfinite(row.parameters_b)}
    if not sizes_b:
        return []
    best_b = min(sizes_b, key=lambda each_b: (round(abs(math.log(each_b / size_b)), 9), each_b))
    return [row for row in rows if row.parameters_b == best_b]


def _row(record: dict[str, str]) -> Row:
    if record["loss_points"]:
        loss_frac = float(record["loss_points"]) / 100
    else:
        loss_frac = (float(record["reference_score"]) - float(record["score"])) / 100
    return Row(
        model=record["model"],
        parameters_b=float(record["parameters_b"]),
        precision=Precision(record["precision"]),
        scheme=record["scheme"],
        benchmark=record["benchmark"],
        task=Task(record["task"]),
        loss_frac=round(loss_frac, 6),
        origin=Origin(record["kind"]),
        source=SOURCES[record["source"]],
    )
