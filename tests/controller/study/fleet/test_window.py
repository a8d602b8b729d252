from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from controller.optimizer.outcome import power_w
from controller.settlement.quality_budget import QualityBurn
from controller.study.fleet.make_case import make_case
from controller.study.fleet.state import State
from controller.study.fleet.window import Asked, Coming, Span, budgets, foreseen, problem
from router.contract import ClassId
from tests.fakes.fleet_cases import fleet_settings, rich_document, rich_settings

CASE = make_case(fleet_settings())
RICH = make_case(rich_settings())


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
    data = problem(CASE, Span(0, 1, 1), State.of(CASE), Asked(np.zeros((2, 1))))
    zero = ((0,),) * 4
    idle = power_w(data, zero, zero, (((0.0,),) * 4,) * 2)
    assert [watts for (watts,) in idle] == pytest.approx([1.2 * 73.0 * 96, 1.2 * 73.0 * 64])


def test_an_instance_takes_the_place_of_idle_gpus() -> None:
    data = problem(CASE, Span(0, 1, 1), State.of(CASE), Asked(np.zeros((2, 1))))
    one = ((1,), (0,), (0,), (0,))
    zero = ((0,),) * 4
    (watts,), _ = power_w(data, one, zero, (((0.0,),) * 4,) * 2)
    assert watts == pytest.approx(1.2 * (73.0 * 88 + CASE.pools[0].curves.p0_w))


def test_instances_are_bounded_by_the_sites_gpus() -> None:
    assert [CASE.most_instances(pool) for pool in CASE.pools] == [12, 24, 8, 16]


def test_fixed_instances_stay_as_they_are() -> None:
    state = State.of(CASE, (3, 0, 2, 1))
    data = problem(CASE, Span(0, 6, 4), state, Asked(np.ones((2, 6)), fixed=True))
    assert [(pool.min_on, pool.max_on) for pool in data.pools] == [(3, 3), (0, 0), (2, 2), (1, 1)]


def test_what_waits_is_planned_for_by_when_it_is_due() -> None:
    state = State.of(RICH)
    waiting = replace(state, queues=(*state.queues[:2], state.queues[2].joined(7, 3_600.0).joined(15, 7_200.0)))
    data = problem(RICH, Span(0, 6, 4), waiting, Asked(np.ones((3, 6))))
    assert data.classes[2].defer_steps == 4
    assert data.classes[2].backlog_tokens_per_s == (0.0, 1.0, 0.0, 2.0)
    late = replace(state, queues=(state.queues[0].joined(0, 3_600.0), *state.queues[1:]))
    assert problem(RICH, Span(4, 5, 4), late, Asked(np.ones((3, 5)))).classes[0].demand_tokens_per_s[0] == 2.0


def test_the_strictest_limit_of_an_interval_counts_and_the_mean_for_the_bound() -> None:
    document = rich_document()
    limit = {"name": "cap", "kind": "limit", "sites": ["a"], "start": "2022-07-12T13:30:00Z", "hours": 1}
    document["sites"][0]["import_limit_kw"] = 50
    document["events"] = [{**limit, "limit_kw": 10}]
    case = make_case(rich_settings(**document))
    strict, mean = (
        problem(case, Span(0, 6, 4), State.of(case), Asked(np.ones((3, 6)), limit_of=fold)).sites[0].limit_w
        for fold in (np.min, np.mean)
    )
    assert strict == (50e3, 10e3, 10e3, 50e3, 50e3, 50e3)
    assert mean == (50e3, 30e3, 30e3, 50e3, 50e3, 50e3)


def test_batteries_photovoltaics_and_responses_are_planned() -> None:
    data = problem(RICH.enrolled(np.full((2, 24), 9e3)), Span(0, 6, 4), State.of(RICH), Asked(np.ones((3, 6))))
    a, b = data.sites
    assert a.battery is not None
    assert (a.battery.soc_wh, b.battery, b.pv_w) == (50e3, None, ())
    assert a.response is not None
    assert a.response.most_w == (0.0, 0.0, 0.0, 9e3, 0.0, 0.0)


def test_what_was_saved_of_a_quality_budget_is_spent_where_an_event_calls() -> None:
    burn = QualityBurn.empty(ClassId("x"), 86_400.0).with_tokens(0.0, 1e6, 0.0)
    found = budgets(0.01, burn, Coming(np.array([False, True]), 1e6, 7_200.0))
    assert found == (0.01, pytest.approx(0.02))
    assert budgets(0.01, None, Coming(np.array([False, True]), 1e6, 7_200.0)) == (0.01, 0.01)
    spent = burn.with_tokens(0.0, 1e6, 0.04e6)
    assert budgets(0.01, spent, Coming(np.array([False, True]), 1e6, 7_200.0)) == (0.0, 0.0)


def test_what_may_wait_is_planned_by_its_mean() -> None:
    rising = replace(
        RICH,
        classes=tuple(replace(cls, demand_tokens_per_s=np.arange(24.0)) for cls in RICH.classes),
        forecast_error_frac=0.0,
    )
    found = foreseen(rising, Span(0, 2, 4), np.random.default_rng(0))
    assert (found[0].tolist(), found[2].tolist()) == ([3.0, 7.0], [1.5, 5.5])
