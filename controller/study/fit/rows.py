"""Steady-state measurements of configurations, from ML.ENERGY's columns or from those of wattroute's own format."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from controller.energy.steady_sample import Sample
from controller.simulation.profile_rows import DATA_FILE
from controller.study.fit.sheet import Line, Sheet, read_sheet, shipped_sheet
from controller.study.measured import Configuration

MLENERGY = (
    "model_id",
    "weight_precision",
    "gpu_model",
    "num_gpus",
    "max_num_seqs",
    "avg_batch_size",
    "power_w",
    "output_tokens_per_s",
    "median_itl_ms",
    "total_params_billions",
    "activated_params_billions",
)
OWN = ("configuration", "batch", "tokens_per_s", "power_w", "itl_ms")
PROMPTS, CELL = "prompt_tokens_per_s", "cell"
FAMILIES = ("Llama-3", "Qwen3")


class Kind(StrEnum):
    """What sort of model a configuration runs, as far as the file tells."""

    DENSE_FAMILIES = "dense, Llama and Qwen3"
    DENSE = "dense, others"
    EXPERTS = "mixture of experts"
    UNTOLD = "all"


@dataclass(frozen=True, slots=True)
class Rows:
    """All measurements of one configuration, as the file has them.

    Attributes:
        model, precision, gpu: for comparing precisions; None where the file does not tell them.
        samples: those out of steady state too.
    """

    name: str
    kind: Kind
    model: str | None
    precision: str | None
    gpu: str | None
    samples: tuple[Sample, ...]


def bundled_rows() -> tuple[Rows, ...]:
    """The measurements that come with the package.

    Raises:
        ConfigError: they are unreadable.
    """
    return rows_of(shipped_sheet("controller.simulation", DATA_FILE))


def read_rows(path: Path) -> tuple[Rows, ...]:
    """Measurements of a file.

    Raises:
        ConfigError: the file, a column or a figure is wrong; the message names the place.
    """
    return rows_of(read_sheet(path))


def rows_of(sheet: Sheet) -> tuple[Rows, ...]:
    """Measurements by configuration, in the order of the file.

    Raises:
        ConfigError: a column is missing or a figure is wrong.
    """
    of_mlenergy = "model_id" in sheet.columns
    sheet.require(MLENERGY if of_mlenergy else OWN, "measurements" if of_mlenergy else "measurements in the own format")
    found: dict[str, Rows] = {}
    for line in sheet.lines:
        row = _mlenergy(line) if of_mlenergy else _own(line)
        before = found.get(row.name)
        samples = row.samples if before is None else (*before.samples, *row.samples)
        found[row.name] = Rows(row.name, row.kind, row.model, row.precision, row.gpu, samples)
    return tuple(found.values())


def _mlenergy(line: Line) -> Rows:
    model, precision = line.text("model_id"), line.text("weight_precision")
    gpu, gpus = line.text("gpu_model"), int(line.figure("num_gpus"))
    sample = Sample(
        batch=line.figure("avg_batch_size"),
        tokens_per_s=line.figure("output_tokens_per_s"),
        power_w=line.figure("power_w"),
        median_itl_s=line.figure("median_itl_ms") / 1000,
        cell=line.text("max_num_seqs"),
    )
    short = model.rpartition("/")[2]
    dense = line.figure("total_params_billions") == line.figure("activated_params_billions")
    kind = Kind.DENSE_FAMILIES if short.startswith(FAMILIES) else Kind.DENSE
    return Rows(
        name=str(Configuration(model, precision, gpu, gpus)),
        kind=kind if dense else Kind.EXPERTS,
        model=short.removesuffix("-FP8"),
        precision=precision,
        gpu=gpu,
        samples=(sample,),
    )


def _own(line: Line) -> Rows:
    sample = Sample(
        batch=line.figure("batch"),
        tokens_per_s=line.figure("tokens_per_s"),
        power_w=line.figure("power_w"),
        median_itl_s=line.figure("itl_ms") / 1000,
        prompt_tokens_per_s=line.figure(PROMPTS, above=False) if PROMPTS in line.cells else None,
        cell=line.text(CELL) if CELL in line.cells else None,
    )
    return Rows(line.text("configuration"), Kind.UNTOLD, None, None, None, (sample,))
