from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import ConfigError
from controller.profile.design import Cell, Design, Limits, candidates, coarse, longest, next_cell, unsureness
from controller.profile.estimate import Estimate, Row, estimate, terms
from tests.fakes.profiles import LIMITS, row

DESIGN = Design(
    max_concurrency=64, short_input=32, long_input=2048, long_output=128, short_output=16, most_cells=20, sure_frac=0.01
)


def measured(cells: list[Cell], noise: float = 0.0) -> tuple[list[Row], Estimate]:
    rng = np.random.default_rng(3)
    rows = [row(cell, error=tuple(rng.normal(0, noise, 2)) if noise else (0, 0)) for cell in cells]
    return rows, estimate(rows, [f"{n} {cell}" for n, cell in enumerate(cells)])


@given(most=st.integers(4, 1024), long_input=st.integers(128, 8000), kv=st.integers(20_000, 10**7))
def test_the_coarse_design_tells_the_terms_apart_within_the_limits(most: int, long_input: int, kv: int) -> None:
    limits = Limits(None, kv, None)
    design = replace(DESIGN, max_concurrency=most, long_input=long_input).fitted_to(limits)
    cells = coarse(design, limits)
    assert len(set(cells)) >= 5
    for cell in (*cells, *candidates(design, limits)):
        assert cell.concurrency * (cell.input_tokens + cell.output_tokens) <= kv
    columns = terms([row(cell) for cell in cells])
    assert np.linalg.matrix_rank(columns) == 3


def test_the_engine_s_limits_bound_the_load() -> None:
    assert DESIGN.fitted_to(LIMITS).max_concurrency == 64
    assert DESIGN.fitted_to(Limits(max_num_seqs=16)).max_concurrency == 16
    assert DESIGN.fitted_to(Limits(kv_capacity_tokens=4000)).max_concurrency == 21


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(max_model_len=1024), r"up to 2068 tokens.*takes 1024.*lower --long-input to 1004 or less"),
        (Limits(max_model_len=2067), r"up to 2068 tokens.*lower --long-input to 2047 or less"),
        (Limits(max_model_len=140), r"takes 140.*lower --long-input and --output-tokens,"),
        (Limits(max_num_seqs=2), r"2 requests at once.*--max-num-seqs"),
        (Limits(kv_capacity_tokens=500), "room for context"),
    ],
    ids=["context", "longest answer", "tiny context", "batch", "kv"],
)
def test_a_design_that_the_engine_cannot_serve_is_refused(limits: Limits, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        DESIGN.fitted_to(limits)


def test_the_longest_request_of_a_design_that_is_taken_fits_the_engine() -> None:
    limits = Limits(max_model_len=2068)
    cells = candidates(DESIGN.fitted_to(limits), limits)
    assert max(cell.input_tokens + longest(cell.output_tokens) for cell in cells) == 2068


@pytest.mark.parametrize(("budget", "long_input"), [(None, 2048), (8192, 2048), (512, 512), (64, 128)])
def test_long_prompts_fit_into_one_step(budget: int | None, long_input: int) -> None:
    """vLLM counts a step of a prompt that is computed in several only where another request has a token of it."""
    limits = Limits(max_model_len=2068, max_num_batched_tokens=budget)
    assert DESIGN.fitted_to(limits).long_input == long_input


def test_nothing_is_added_where_the_fit_is_sure() -> None:
    rows, fit = measured(list(coarse(DESIGN, LIMITS)))
    assert unsureness(DESIGN, LIMITS, rows, fit) < 0.01
    assert next_cell(DESIGN, LIMITS, rows, fit) is None


def test_cells_are_added_until_a_noisy_fit_is_sure() -> None:
    cells = list(coarse(DESIGN, LIMITS))
    noise = 0.02
    rows, fit = measured(cells, noise)
    first = unsureness(DESIGN, LIMITS, rows, fit)
    assert first > DESIGN.sure_frac
    for _ in range(200):
        more = next_cell(DESIGN, LIMITS, rows, fit)
        if more is None:
            break
        cells.append(more)
        rows, fit = measured(cells, noise)
    assert len(cells) > len(coarse(DESIGN, LIMITS))
    assert unsureness(DESIGN, LIMITS, rows, fit) <= DESIGN.sure_frac


def test_what_is_added_is_where_the_fit_is_least_sure() -> None:
    """Without heavy prompts but one, the next cell has heavy prompts."""
    cells = [Cell(n, 32, 128) for n in (1, 2, 4, 8, 16, 32, 64)] + [Cell(1, 2048, 16)]
    rows, fit = measured(cells, 0.03)
    more = next_cell(DESIGN, LIMITS, rows, fit)
    assert more is not None
    assert more.input_tokens > 32
