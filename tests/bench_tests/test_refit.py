"""The re-fit's tables, on runs short enough for a test."""

from __future__ import annotations

import pytest

from tests.bench.refit.cases import Case
from tests.bench.refit.convergence import CASES, minutes_of
from tests.bench.refit.table import limit_table


def test_a_minute_of_each_direction_is_told_with_its_sign() -> None:
    more, less = (next(c for c in CASES if c.factor == factor) for factor in (1.4, 1 / 1.4))
    assert minutes_of(more, 2)[0] < 0.0 < minutes_of(less, 2)[0]
    assert minutes_of(more, 2)[1] == pytest.approx(0.0, abs=0.05)


def test_a_run_is_one_row() -> None:
    lines = limit_table([Case(1.0, True, seconds=48.0, begins_s=16.0, ramp_s=8.0, per_s=20.0)])
    assert len(lines) == 3
    assert lines[2].startswith("| 1.00 x | on | ")
    assert len({line.count("|") for line in lines}) == 1
