"""Published losses, and what stands in where no row fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.quality.table import Origin, Row, Task, look_up, normalised, parameters_b, published
from router.contract import Precision

ROWS = published()


def _loss(model: str, precision: Precision, task: Task | None) -> tuple[float, bool]:
    found = look_up(ROWS, model, precision, task)
    assert found is not None
    return found.loss_frac, found.is_estimate


def test_every_row_says_whose_figure_it_is() -> None:
    assert all("arXiv 2411.02355" in row.source or "aimultiple" in row.source for row in ROWS)
    assert len(ROWS) == len(set(ROWS)) == 31


@pytest.mark.parametrize(
    ("model", "precision", "task", "points"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", Precision.FP8, Task.GENERAL, 0.51),
        ("llama-3.1-8b", Precision.INT4, Task.CODE, 4.3),  # AWQ, the worse of two schemes
        ("Llama-3.1-70B", Precision.INT4, Task.LONG_CONTEXT, 1.1),
        ("Llama-3.1-405B", Precision.INT8, Task.CHAT, 2.8),
        ("Qwen/Qwen3-32B", Precision.FP8, Task.GENERAL, 0.6),
        ("Qwen3-32B", Precision.INT4, Task.CODE, 8.0),
        ("Llama-3.1-70B", Precision.FP8, Task.CODE, 0.0),  # scored higher: no gain is planned with
    ],
)
def test_published_figures_are_found(model: str, precision: Precision, task: Task, points: float) -> None:
    assert _loss(model, precision, task) == (pytest.approx(points / 100), False)


def test_work_of_no_kind_counts_as_the_worst_kind() -> None:
    assert _loss("Llama-3.1-405B", Precision.INT8, None) == (pytest.approx(0.028), False)


def test_a_task_without_row_is_the_worst_of_the_model_or_of_its_like() -> None:
    assert _loss("Qwen3-32B", Precision.INT4, Task.MATHEMATICS) == (pytest.approx(0.08), True)
    assert _loss("Llama-3.1-8B", Precision.INT8, Task.CODE) == (pytest.approx(0.01), True)


def test_a_model_without_rows_is_its_nearest_in_size() -> None:
    found = look_up(ROWS, "Qwen/Qwen3-235B-A22B-Instruct-2507", Precision.INT4, Task.CODE)
    assert found is not None
    assert (found.loss_frac, found.is_estimate) == (pytest.approx(0.009), True)
    assert "llama-3.1-405b" in found.how
    assert "code of llama-3.1-70b" in found.how


def test_what_was_measured_comes_before_what_was_published() -> None:
    own = Row("llama-3.1-8b", 8, Precision.FP8, "", "own", Task.GENERAL, 0.02, Origin.MEASURED, "quality.yaml")
    found = look_up((*ROWS, own), "Llama-3.1-8B", Precision.FP8, Task.GENERAL)
    assert found is not None
    assert (found.loss_frac, found.is_estimate, found.how) == (0.02, False, "measured")


def test_a_name_without_size_has_no_estimate() -> None:
    assert look_up(ROWS, "gpt-next", Precision.FP8, Task.CODE) is None
    assert look_up(ROWS, "gpt-next", Precision.BF16, Task.CODE) is not None


@pytest.mark.parametrize(
    ("name", "size_b"),
    [("meta-llama/Llama-3.1-8B", 8), ("Qwen3-0.6B", 0.6), ("Qwen3-235B-A22B", 235), ("gpt-4", None), ("a22b-x", None)],
)
def test_sizes_are_read_from_names(name: str, size_b: float | None) -> None:
    assert parameters_b(name) == size_b
    assert normalised(name) == name.rpartition("/")[2].lower()


@given(
    size=st.floats(0.1, 2000).map(lambda b: f"some-{b:.1f}b"),
    precision=st.sampled_from([Precision.FP8, Precision.INT8, Precision.INT4]),
    task=st.sampled_from([None, *Task]),
)
def test_every_size_has_an_estimate_that_is_no_gain(size: str, precision: Precision, task: Task | None) -> None:
    found = look_up(ROWS, size, precision, task)
    assert found is not None
    assert found.is_estimate
    assert 0 <= found.loss_frac <= 0.08
