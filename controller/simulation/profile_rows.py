"""The bundled measurements that built-in curves are fitted to."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from controller.energy.steady_sample import Sample, in_steady_state
from controller.energy.step_fit import StepFit, fit_steps
from controller.errors import ConfigError

DATA_FILE = "mlenergy_v3_lm_arena_chat.csv"


@dataclass(frozen=True, slots=True)
class RowKey:
    """Which rows: a model at a precision on so many GPUs, as the file spells them."""

    model_id: str
    weight_precision: str
    gpu: str
    gpus: int

    def __str__(self) -> str:
        return f"{self.model_id} {self.weight_precision} on {self.gpus}x{self.gpu}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Measurements of one configuration.

    Attributes:
        largest_max_num_seqs: the largest batch any of those in steady state was started with.
        mean_answer_tokens: mean length of the answers at the largest batch.
    """

    samples: tuple[Sample, ...]
    largest_max_num_seqs: int
    mean_answer_tokens: float

    @property
    def held_tokens(self) -> float:
        """Context held at the largest batch, each sequence taken to hold as many tokens as a mean answer."""
        return max(sample.batch for sample in self.samples) * self.mean_answer_tokens

    def fit(self) -> StepFit:
        """Both lines."""
        return fit_steps(self.samples)


def load_rows(key: RowKey) -> Rows:
    """Rows of a configuration that were in steady state.

    Raises:
        ConfigError: the bundled measurements are missing or unreadable, or have none of it.
    """
    wanted = (key.model_id, key.weight_precision, key.gpu, str(key.gpus))
    try:
        rows = [
            row
            for row in data_rows()
            if (row["model_id"], row["weight_precision"], row["gpu_model"], row["num_gpus"]) == wanted
        ]
        usable = [(row, sample) for row in rows if in_steady_state(sample := sample_of(row))]
        fullest = max((row for row, _ in usable), key=lambda row: int(row["max_num_seqs"]))
        return Rows(
            samples=tuple(sample for _, sample in usable),
            largest_max_num_seqs=int(fullest["max_num_seqs"]),
            mean_answer_tokens=float(fullest["avg_output_len"]),
        )
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"the bundled measurements {DATA_FILE} have no usable rows for {' '.join(wanted)} ({error!r}); "
            "install wattroute again"
        ) from error


def data_rows() -> list[dict[str, str]]:
    """Every row of the file, by column.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    text = resources.files("controller.simulation").joinpath("data", DATA_FILE).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def sample_of(row: dict[str, str]) -> Sample:
    """What was measured in a row; repeats with as many sequences allowed are of one cell.

    Raises:
        KeyError: a column is missing.
        ValueError: a value is no number.
    """
    return Sample(
        batch=float(row["avg_batch_size"]),
        tokens_per_s=float(row["output_tokens_per_s"]),
        power_w=float(row["power_w"]),
        median_itl_s=float(row["median_itl_ms"]) / 1000,
        cell=row["max_num_seqs"],
    )
