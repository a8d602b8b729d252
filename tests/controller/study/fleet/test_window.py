from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.optimizer.outcome import power_w
from controller.study.fleet.case import make_case
from controller.study.fleet.window import Span, foreseen, most_instances, problem
from tests.fakes.fleet_cases import fleet_settings

CASE = make_case(fleet_settings())
NONE = (0,) * 4


def test_a_span_goes_on_with_the_last_value_after_the_end() -> None:
    cells = Span(22, 2, 4).cells(np.arange(24.0))
    assert cells.tolist() == [[22, 23, 23, 23], [23, 23, 23, 23]]


def test_instances_are_planned_for_more_than_is_expected_and_more_so_far_ahead() -> None:
    flat = replace(
        CASE,
        classes=tuple(replace(cls, demand_tokens_per_s=np.full(CASE.steps, 100.0)) for cls in CASE.classes),
        forecast_error_frac=0.2,
    )
    drawn = np.mean([foreseen(flat, Span(0, 6, 4), np.random.default_rng(seed)) for seed in range(400)], axis=0)
    assert drawn[:, 0] == pytest.approx(100.0)
    assert np.all(np.diff(drawn, axis=1) > 0)
    below = np.mean([foreseen(flat, Span(0, 6, 4), np.random.default_rng(seed))[0, 5] >= 100 for seed in range(400)])
    assert below == pytest.approx(flat.forecast_quantile, abs=0.05)


def test_the_highest_step_of_an_interval_counts() -> None:
    rising = replace(
        CASE,
        classes=tuple(replace(cls, demand_tokens_per_s=np.arange(24.0)) for cls in CASE.classes),
        forecast_error_frac=0.0,
    )
    assert foreseen(rising, Span(0, 2, 4), np.random.default_rng(0))[0].tolist() == [3.0, 7.0]


def test_an_empty_fleet_draws_the_idle_power_of_its_gpus() -> None:
    data = problem(CASE, Span(0, 1, 1), np.zeros((2, 1)), on=NONE, sleeping=NONE)
    zero = ((0,),) * 4
    idle = power_w(data, zero, zero, (((0.0,),) * 4,) * 2)
    assert [watts for (watts,) in idle] == pytest.approx([1.2 * 73.0 * 96, 1.2 * 73.0 * 64])


def test_an_instance_takes_the_place_of_idle_gpus() -> None:
    data = problem(CASE, Span(0, 1, 1), np.zeros((2, 1)), on=NONE, sleeping=NONE)
    one = ((1,), (0,), (0,), (0,))
    zero = ((0,),) * 4
    (watts,), _ = power_w(data, one, zero, (((0.0,),) * 4,) * 2)
    assert watts == pytest.approx(1.2 * (73.0 * 88 + CASE.pools[0].curves.p0_w))


def test_instances_are_bounded_by_the_sites_gpus() -> None:
    assert [most_instances(CASE, pool) for pool in CASE.pools] == [12, 24, 8, 16]
