from __future__ import annotations

import itertools

import pytest

from controller.study.fleet import levers
from controller.study.fleet.make_case import make_case
from tests.fakes.fleet_cases import fleet_settings, rich_settings
from tests.fakes.fleet_planner import planner

CASE = make_case(fleet_settings())
RICH = make_case(rich_settings())


@pytest.fixture(scope="module")
def rows() -> tuple[levers.Row, ...]:
    return levers.rows(RICH, planner, lambda *_: None)


def test_every_lever_that_the_case_has_is_a_row(rows: tuple[levers.Row, ...]) -> None:
    assert [row.name for row in rows] == [
        levers.FIXED,
        levers.SHIFTING,
        levers.SWITCHING,
        levers.PRECISION,
        levers.ASSETS,
        levers.RESPONSE,
    ]
    found = levers.rows(CASE, planner, lambda *_: None, all_between=False)
    assert [row.name for row in found] == [levers.FIXED, levers.PRECISION]


def test_every_row_serves_the_same_tokens(rows: tuple[levers.Row, ...]) -> None:
    first = rows[0].totals.output_tokens
    assert [row.totals.output_tokens for row in rows] == pytest.approx([first] * len(rows))


def test_no_lever_costs_more_than_it_saves(rows: tuple[levers.Row, ...]) -> None:
    bills = [row.totals.bill.usd for row in rows]
    assert all(later <= earlier * 1.001 for earlier, later in itertools.pairwise(bills))


def test_only_rows_with_precisions_lose_quality(rows: tuple[levers.Row, ...]) -> None:
    assert [row.totals.quality_loss_frac > 0 for row in rows] == [False] * 3 + [True] * 3


def test_perfect_foresight_is_a_bound(rows: tuple[levers.Row, ...]) -> None:
    bound = levers.bound_usd(rows[-1].case, planner())
    assert bound <= rows[-1].totals.bill.usd


def test_the_baseline_of_a_response_is_what_the_row_before_drew(rows: tuple[levers.Row, ...]) -> None:
    response = rows[-1].case.sites[0].response
    assert response is not None
    assert response.baseline_w.tolist() == [step.import_w[0] for step in rows[-2].played.steps]
    assert rows[-1].totals.curtailed_mwh > 0
    assert rows[-1].totals.bill.reward > 0


def test_assets_cover_part_of_the_load(rows: tuple[levers.Row, ...]) -> None:
    assets = rows[-2].totals
    assert assets.energy_mwh < assets.load_mwh
    assert assets.pv_mwh > 0
