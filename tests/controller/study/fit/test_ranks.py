from __future__ import annotations

import math

import pytest

from controller.study.fit.configurations import fit_rows
from controller.study.fit.ranks import Ranked, rank_precisions
from controller.study.fit.rows import bundled_rows


@pytest.fixture(scope="module")
def ranked() -> tuple[Ranked, ...]:
    return rank_precisions([fit_rows(rows) for rows in bundled_rows()])


def test_the_bend_ranks_precisions_better_than_straight_lines_at_equal_concurrency(ranked: tuple[Ranked, ...]) -> None:
    assert len(ranked) == 5
    assert sum(r.batches.bent for r in ranked) < sum(r.batches.straight for r in ranked)
    for r in ranked:
        if None not in (r.break_even, r.bent_break_even, r.straight_break_even):
            straight_off, bent_off = (
                abs(math.log(x / r.break_even)) for x in (r.straight_break_even, r.bent_break_even)
            )
            assert bent_off < straight_off


def test_at_equal_rates_straight_lines_rank_as_measured(ranked: tuple[Ranked, ...]) -> None:
    assert sum(r.rates.points for r in ranked) > 40
    assert sum(r.rates.straight for r in ranked) == 0
