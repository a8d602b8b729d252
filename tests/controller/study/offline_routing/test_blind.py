from __future__ import annotations

import dataclasses

import pytest

from controller.errors import ConfigError
from controller.study.offline_routing.blind import corners, energy_at
from controller.study.offline_routing.case import make_case, solve
from tests.fakes.routing_cases import case, published, short_questions


@pytest.mark.parametrize("bounded", [True, False])
def test_looking_at_the_query_never_costs_energy_at_equal_accuracy(bounded: bool) -> None:
    made = case(bounded=bounded)
    blind = corners(made)
    compared = 0
    for zeta in (0.1, 0.15, 0.2, 0.3, 0.5, 0.8):
        point = solve(made, zeta)
        energy_j = energy_at(blind, point.accuracy_frac)
        if energy_j is not None:
            compared += 1
            assert point.energy_j <= energy_j * (1 + 1e-9)
    assert compared > 0


def test_corners_are_single_models_where_nothing_bounds_them() -> None:
    found = corners(case(bounded=False))
    assert found[0].accuracy_frac == pytest.approx(0.5097)
    assert found[-1].accuracy_frac == pytest.approx(0.6452)
    assert [c.energy_j for c in found] == sorted(c.energy_j for c in found)
    assert len(found) == 3


def test_between_corners_shares_are_mixed_and_outside_there_is_nothing() -> None:
    low, middle, _ = corners(case(bounded=False))
    half = energy_at((low, middle), (low.accuracy_frac + middle.accuracy_frac) / 2)
    assert half == pytest.approx((low.energy_j + middle.energy_j) / 2)
    assert energy_at((low, middle), 0.99) is None


def test_models_of_different_ranges_cannot_be_chosen_blindly() -> None:
    first, *others = published()
    narrow = dataclasses.replace(first, output_tokens=(1, 50))
    with pytest.raises(ConfigError, match="blind to length"):
        corners(make_case((narrow, *others), short_questions(100)))
