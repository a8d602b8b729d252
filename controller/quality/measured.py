"""What `wattroute quality run` has measured, as a document and as rows of the table. Pure.

The loss of a task is the reference's score less the candidate's. Its standard error takes the two as independent,
which is wide: both answered the same questions, and what is hard for one is hard for the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import ConfigError
from controller.quality.evidence import Z_95
from controller.quality.table import Origin, Row, Task, normalised, parameters_b
from router.contract import Precision

KIND = "wattroute-quality"
_TASKS = (
    (("gsm8k", "gsm_", "minerva_math", "hendrycks_math", "math", "asdiv", "mgsm"), Task.MATHEMATICS),
    (("humaneval", "mbpp", "code", "ds1000"), Task.CODE),
    (("ruler", "longbench", "niah", "scrolls", "babilong"), Task.LONG_CONTEXT),
    (("gpqa", "bbh", "aime", "musr", "leaderboard_bbh", "leaderboard_gpqa", "arc_challenge"), Task.REASONING),
    (("ifeval", "arena", "mt_bench", "truthfulqa_gen"), Task.CHAT),
)
PREFERRED = ("exact_match", "pass@1", "pass_at_1", "acc_norm", "acc", "prompt_level_strict_acc", "f1", "em")
"""Metrics of a task of which the first that it has counts."""


@dataclass(frozen=True, slots=True)
class Score:
    """One task's score of one pool, 0..1.

    Attributes:
        metric: with its filter, as the harness names it: ``exact_match,strict-match``.
        stderr: None where the harness gave none.
        samples: questions asked, None where unknown.
    """

    task: str
    metric: str
    value: float
    stderr: float | None
    samples: int | None


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """One task of both pools.

    Attributes:
        loss_frac: reference less candidate.
        low_frac, high_frac: interval of 95 %, None where a standard error is missing.
    """

    reference: Score
    candidate: Score
    loss_frac: float
    low_frac: float | None
    high_frac: float | None


def kind_of(task: str) -> Task:
    """Kind of a harness's task by its name; general where nothing is known of it."""
    name = task.lower()
    return next((kind for starts, kind in _TASKS if name.startswith(starts)), Task.GENERAL)


def read_scores(document: Any) -> dict[str, Score]:
    """Scores by task of a results file of lm-eval (`results`, with ``METRIC,FILTER`` and ``METRIC_stderr,FILTER``).

    Raises:
        ConfigError: it is no such file, or a task has no metric between 0 and 1.
    """
    results = document.get("results") if isinstance(document, Mapping) else None
    if not isinstance(results, Mapping) or not results:
        raise ConfigError("lm-eval wrote no results; see what it says")
    samples = document.get("n-samples")
    return {
        task: _score(task, found, samples.get(task) if isinstance(samples, Mapping) else None)
        for task, found in results.items()
        if isinstance(found, Mapping)
    }


def _score(task: str, found: Mapping[str, Any], samples: Any) -> Score:
    metrics = [
        key for key, value in found.items() if "_stderr" not in key and "," in key and _number(value) is not None
    ]
    ranked = sorted(metrics, key=lambda key: (_rank(key.partition(",")[0]), metrics.index(key)))
    if not ranked or not 0 <= float(found[ranked[0]]) <= 1:
        raise ConfigError(f"task {task!r}: lm-eval gave no score between 0 and 1, only {sorted(found)}; leave it out")
    metric, _, filter_ = ranked[0].partition(",")
    effective = samples.get("effective") if isinstance(samples, Mapping) else None
    return Score(
        task=task,
        metric=ranked[0],
        value=float(found[ranked[0]]),
        stderr=_number(found.get(f"{metric}_stderr,{filter_}")),
        samples=effective if isinstance(effective, int) else None,
    )


def compare(reference: Mapping[str, Score], candidate: Mapping[str, Score]) -> tuple[TaskLoss, ...]:
    """Losses of the tasks that both have.

    Raises:
        ConfigError: they have none in common.
    """
    both = [task for task in reference if task in candidate and candidate[task].metric == reference[task].metric]
    if not both:
        raise ConfigError(f"no task was scored for both pools: {sorted(reference)} and {sorted(candidate)}")
    return tuple(_loss(reference[task], candidate[task]) for task in both)


def _loss(reference: Score, candidate: Score) -> TaskLoss:
    loss = reference.value - candidate.value
    errors = [_stderr(score) for score in (reference, candidate)]
    if None in errors:
        return TaskLoss(reference, candidate, loss, None, None)
    half = Z_95 * math.hypot(*(error for error in errors if error is not None))
    return TaskLoss(reference, candidate, loss, loss - half, loss + half)


def _stderr(score: Score) -> float | None:
    """Standard error; where every answer or none was right, Agresti's and Coull's in place of the harness's 0."""
    if score.stderr != 0.0:
        return score.stderr
    if score.samples is None or score.samples < 1:
        return None
    share = (score.value * score.samples + 2) / (score.samples + 4)
    return math.sqrt(share * (1 - share) / (score.samples + 4))


def read_rows(document: Any, where: str) -> tuple[Row, ...]:
    """Rows of a measured file.

    Args:
        document: as `wattroute quality run` wrote it.
        where: its name, for the source and for errors.

    Raises:
        ConfigError: naming the file and what is wrong with it.
    """
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        raise ConfigError(f"{where}: not a file of `wattroute quality run`: kind is not {KIND}")
    try:
        model, precision = normalised(str(document["model"])), Precision(document["precision"])
        size_b = parameters_b(model)
        return tuple(
            Row(
                model=model,
                parameters_b=size_b if size_b is not None else math.nan,
                precision=precision,
                scheme=str(document.get("scheme", "")),
                benchmark=str(item["task"]),
                task=Task(item["kind"]),
                loss_frac=_fraction(item["loss_frac"]),
                origin=Origin.MEASURED,
                source=f"{where}, {document['date']}",
                low_frac=_number(item.get("low_frac")),
                high_frac=_number(item.get("high_frac")),
            )
            for item in document["tasks"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{where}: {type(error).__name__}: {error}; write it anew by `wattroute quality run`"
        ) from error


def _fraction(value: Any) -> float:
    number = _number(value)
    if number is None or not -1 <= number <= 1:
        raise ValueError(f"loss_frac {value!r:.40} is no number from -1 to 1")
    return number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _rank(metric: str) -> int:
    return PREFERRED.index(metric) if metric in PREFERRED else len(PREFERRED)
