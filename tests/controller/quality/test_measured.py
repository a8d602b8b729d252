"""From lm-eval's results to losses with intervals, and to rows of the table."""

from __future__ import annotations

from typing import Any

import pytest

from controller.errors import ConfigError
from controller.quality.measured import KIND, Score, compare, kind_of, read_rows, read_scores
from controller.quality.table import Origin, Task


def _results(**metrics: Any) -> dict[str, Any]:
    return {"results": {"gsm8k": {"alias": "gsm8k", **metrics}}, "n-samples": {"gsm8k": {"effective": 100}}}


def test_the_preferred_metric_is_read_with_its_error() -> None:
    told = {"acc,none": 0.4, "exact_match,strict-match": 0.75, "exact_match_stderr,strict-match": 0.02, "sample_len": 5}
    assert read_scores(_results(**told)) == {"gsm8k": Score("gsm8k", "exact_match,strict-match", 0.75, 0.02, 100)}


def test_the_loss_has_an_interval_of_both_errors() -> None:
    reference, candidate = (
        {"gsm8k": Score("gsm8k", "acc,none", value, stderr, 100)} for value, stderr in ((0.80, 0.03), (0.76, 0.04))
    )
    (loss,) = compare(reference, candidate)
    assert loss.loss_frac == pytest.approx(0.04)
    assert (loss.low_frac, loss.high_frac) == (
        pytest.approx(0.04 - 1.96 * 0.05, abs=1e-4),
        pytest.approx(0.138, abs=1e-4),
    )


def test_a_score_of_all_or_nothing_is_not_certain() -> None:
    (loss,) = compare({"a": Score("a", "acc,none", 1.0, 0.0, 50)}, {"a": Score("a", "acc,none", 1.0, 0.0, 50)})
    assert loss.high_frac is not None
    assert loss.high_frac > 0.05


def test_without_errors_there_is_no_interval() -> None:
    (loss,) = compare({"a": Score("a", "acc,none", 0.5, None, 50)}, {"a": Score("a", "acc,none", 0.4, 0.1, 50)})
    assert (loss.low_frac, loss.high_frac) == (None, None)


@pytest.mark.parametrize(
    "document", [None, {}, {"results": {}}, _results(**{"acc,none": "N/A"}), _results(**{"ppl,none": 7.0})]
)
def test_what_is_no_score_is_refused(document: Any) -> None:
    with pytest.raises(ConfigError, match="lm-eval"):
        read_scores(document)


def test_pools_without_a_common_task_are_refused() -> None:
    with pytest.raises(ConfigError, match="both pools"):
        compare({"a": Score("a", "acc,none", 1, 0, 1)}, {"b": Score("b", "acc,none", 1, 0, 1)})


@pytest.mark.parametrize(
    ("task", "kind"),
    [("gsm8k_cot", Task.MATHEMATICS), ("humaneval_plus", Task.CODE), ("ruler_4k", Task.LONG_CONTEXT),
     ("gpqa_diamond", Task.REASONING), ("ifeval", Task.CHAT), ("mmlu_pro", Task.GENERAL)],
)  # fmt: skip
def test_tasks_have_a_kind(task: str, kind: Task) -> None:
    assert kind_of(task) is kind


def _file(**more: Any) -> dict[str, Any]:
    task = {"task": "gsm8k", "kind": "mathematics", "loss_frac": 0.013, "low_frac": -0.01, "high_frac": 0.036}
    return {"kind": KIND, "model": "Qwen/Qwen3-32B", "precision": "fp8", "date": "2026-01-02", "tasks": [task], **more}


def test_a_measured_file_becomes_rows() -> None:
    (row,) = read_rows(_file(), "q.yaml")
    assert (row.model, row.parameters_b, row.task, row.origin) == ("qwen3-32b", 32, Task.MATHEMATICS, Origin.MEASURED)
    assert (row.loss_frac, row.low_frac, row.high_frac, row.source) == (0.013, -0.01, 0.036, "q.yaml, 2026-01-02")


@pytest.mark.parametrize(
    "document",
    [None, {"kind": "x"}, _file(precision="fp3"), _file(tasks=[{}]), _file(tasks=3),
     _file(tasks=[{"task": "t", "kind": "code", "loss_frac": 7}])],
)  # fmt: skip
def test_a_file_that_is_none_is_named(document: Any) -> None:
    with pytest.raises(ConfigError, match=r"q\.yaml"):
        read_rows(document, "q.yaml")
