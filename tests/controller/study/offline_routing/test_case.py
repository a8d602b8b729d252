from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.errors import ConfigError
from controller.study.offline_routing.case import all_on, costs, make_case, solve
from controller.study.offline_routing.queries import Queries
from controller.study.offline_routing.workload_model import Terms
from tests.fakes.routing_cases import case, published, short_questions

ZETAS = [n / 20 for n in range(21)]
# Published totals of one model for all 52,002 queries (kWh), and of all queries at zeta 1.
ALONE_KWH = {"7b": 74.8, "13b": 132.8, "70b": 985.2}


def test_one_model_for_all_has_the_published_ratios_of_energy() -> None:
    found = [all_on(case(), k) for k in range(3)]
    energy = {name: point.energy_j for name, point in zip(ALONE_KWH, found, strict=True) if point}
    assert energy["13b"] / energy["7b"] == pytest.approx(ALONE_KWH["13b"] / ALONE_KWH["7b"], rel=0.02)
    assert energy["70b"] / energy["7b"] == pytest.approx(ALONE_KWH["70b"] / ALONE_KWH["7b"], rel=0.02)
    assert [point.accuracy_frac for point in found if point] == pytest.approx([0.5097, 0.5569, 0.6452])


def test_the_sweep_has_the_published_shape() -> None:
    """Energy and accuracy fall from those of the largest model to those of the smallest, nearly all of it in between.

    Published, online and without bounds: 832.9 kWh and 62.91 % at zeta 0, 74.8 kWh and 50.97 % from 0.8 on; zeta is a
    switch with all of its action in a narrow band.
    """
    unbounded = case(bounded=False)
    points = [solve(unbounded, zeta) for zeta in ZETAS]
    energy = [point.energy_j for point in points]
    accuracy = [point.accuracy_frac for point in points]
    assert energy == sorted(energy, reverse=True)
    assert accuracy == sorted(accuracy, reverse=True)
    first, last = points[0], points[-1]
    assert first.queries == (0, 0, 3000)
    assert last.queries == (3000, 0, 0)
    assert first.energy_j / last.energy_j == pytest.approx(985.2 / 74.8, rel=0.02)
    spread = first.energy_j - last.energy_j
    within = [zeta for zeta, e in zip(ZETAS, energy, strict=True) if 0.1 < (e - last.energy_j) / spread < 0.9]
    assert max(within) - min(within) <= 0.2


def test_coverage_keeps_a_least_share_on_every_model() -> None:
    for zeta in (0.0, 0.3, 1.0):
        queries = solve(case(), zeta).queries
        assert all(n >= least for n, least in zip(queries, (38, 150, 563), strict=True))


def test_queries_of_equal_length_are_one_group() -> None:
    queries = Queries(np.arange(4.0), np.array([5, 9, 5, 5]), np.array([7, 7, 7, 8]), 0, "s")
    made = make_case(published(bounded=False), queries)
    assert made.amount.tolist() == [2, 1, 1]
    assert made.group_of.tolist() == [0, 2, 0, 1]
    assert made.queries == 4


def test_energies_fitted_below_zero_count_as_zero_and_are_told() -> None:
    queries = Queries(np.arange(2.0), np.array([2000, 10]), np.array([8, 500]), 0, "s")
    made = make_case(published(bounded=False), queries)
    assert made.below_zero_frac == pytest.approx(0.5)
    assert made.energy_j.min() == 0.0


@pytest.mark.parametrize("zeta", [-0.1, 1.1, float("nan")])
def test_a_zeta_outside_of_0_to_1_is_refused(zeta: float) -> None:
    with pytest.raises(ConfigError, match=r"zeta .* is not between 0"):
        costs(case(count=5), zeta)


def test_no_queries_are_refused() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(ConfigError, match="queries: there are none"):
        make_case(published(), Queries(empty.astype(float), empty, empty, 0, "s"))


def test_a_coefficient_that_is_no_number_is_refused() -> None:
    first, *others = published()
    broken = dataclasses.replace(first, energy_j=Terms(0.0, float("nan"), 1.0, 0.0))
    with pytest.raises(ConfigError, match="not finite"):
        make_case((broken, *others), short_questions(5))


def test_a_model_that_may_not_serve_all_cannot_stand_alone() -> None:
    first, *others = published(bounded=False)
    narrow = dataclasses.replace(first, output_tokens=(1, 10))
    made = make_case((narrow, *others), short_questions(200))
    assert all_on(made, 0) is None
    assert all_on(made, 1) is not None
    assert solve(made, 1.0).queries[0] < 200
