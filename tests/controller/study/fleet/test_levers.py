from __future__ import annotations

import itertools

import pytest

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.study.fleet import levers
from controller.study.fleet.case import make_case
from tests.fakes.fleet_cases import fleet_settings

CASE = make_case(fleet_settings())


def planner() -> CvxpyPlanner:
    return CvxpyPlanner(lambda: 0.0)


@pytest.fixture(scope="module")
def rows() -> tuple[levers.Row, ...]:
    return levers.rows(CASE, planner, lambda *_: None)


def test_every_row_serves_the_same_tokens(rows: tuple[levers.Row, ...]) -> None:
    first = rows[0].totals.output_tokens
    assert [row.totals.output_tokens for row in rows] == pytest.approx([first] * len(rows))


def test_no_lever_costs_more_than_it_saves(rows: tuple[levers.Row, ...]) -> None:
    bills = [row.totals.usd for row in rows]
    assert all(later <= earlier * 1.001 for earlier, later in itertools.pairwise(bills))


def test_only_the_last_row_loses_quality(rows: tuple[levers.Row, ...]) -> None:
    assert [row.totals.quality_loss_frac > 0 for row in rows] == [False, False, False, True]


def test_perfect_foresight_is_a_bound(rows: tuple[levers.Row, ...]) -> None:
    bound = levers.bound_usd(CASE, planner())
    assert 0 < bound <= rows[-1].totals.usd
