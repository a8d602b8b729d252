from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from controller.study.offline_routing import online
from controller.study.offline_routing.case import Case, costs, make_case
from controller.study.offline_routing.queries import Queries
from controller.study.offline_routing.workload_model import LanguageModel, Terms
from tests.fakes.routing_cases import published, short_questions


def model(name: str, accuracy: float, joules: float, seconds: float, servers: int) -> LanguageModel:
    everything = (1, 10_000)
    return LanguageModel(
        name,
        accuracy,
        Terms(0.0, 0.0, joules, 0.0),
        Terms(seconds, 0.0, 0.0, 0.0),
        servers,
        everything,
        everything,
        0.0,
        1.0,
        "s",
    )


def at(times_s: list[float], *models: LanguageModel) -> tuple[Case, np.ndarray]:
    count = len(times_s)
    queries = Queries(np.array(times_s), np.full(count, 1), np.full(count, 10), 0, "s")
    return make_case(models, queries), queries.arrival_s


def test_queries_wait_first_come_first_served_for_a_free_server() -> None:
    """Two servers of 10 s each: the third query of a burst waits 10 s, the fifth 20 s."""
    case, arrival_s = at([0.0, 0.0, 0.0, 0.0, 0.0, 100.0], model("a", 0.5, 1.0, 10.0, 2))
    flow = online.route(case, arrival_s, costs(case, 1.0), online.cheapest, "cost alone")
    assert flow.wait_mean_s == pytest.approx((0 + 0 + 10 + 10 + 20 + 0) / 6)
    assert flow.wait_max_s == pytest.approx(20.0)
    assert flow.latency_mean_s == pytest.approx(flow.wait_mean_s + 10.0)
    assert flow.busy_frac == (pytest.approx(60 / (2 * 110)),)


SMALL, LARGE = model("small", 0.5, 1.0, 10.0, 1), model("large", 0.8, 10.0, 10.0, 1)


def test_a_priced_wait_moves_queries_to_the_other_model_once_it_is_too_long() -> None:
    case, arrival_s = at([0.0, 0.0, 0.0], SMALL, LARGE)
    cost = costs(case, 1.0)
    gap = float(cost[0, 1] - cost[0, 0])
    patient = online.route(case, arrival_s, cost, online.pricing_wait(gap / 100), "patient")
    hasty = online.route(case, arrival_s, cost, online.pricing_wait(gap / 5), "hasty")
    assert patient.queries == (3, 0)
    assert hasty.queries == (2, 1)
    assert hasty.wait_mean_s < patient.wait_mean_s
    assert hasty.energy_j > patient.energy_j
    assert hasty.accuracy_frac > patient.accuracy_frac


def test_a_limited_wait_is_kept_where_it_can_be_and_else_the_shortest() -> None:
    case, arrival_s = at([0.0, 0.0, 0.0, 4.0], SMALL, LARGE)
    flow = online.route(case, arrival_s, costs(case, 1.0), online.limiting_wait(5.0), "limit")
    assert flow.queries == (2, 2)
    assert flow.wait_max_s == pytest.approx(10.0)


def test_in_turn_and_only_skip_a_model_that_may_not_serve() -> None:
    narrow = dataclasses.replace(SMALL, output_tokens=(1, 5))
    case, arrival_s = at([0.0, 1.0], narrow, LARGE)
    for rule in (online.in_turn, online.only(0), online.pricing_wait(0.0), online.limiting_wait(1.0)):
        assert online.route(case, arrival_s, costs(case, 1.0), rule, "r").queries == (0, 2)


def test_a_model_that_serves_nothing_has_no_load() -> None:
    case, arrival_s = at([0.0], SMALL, LARGE)
    assert online.route(case, arrival_s, costs(case, 1.0), online.only(0), "r").busy_frac[1] is None


def test_sight_of_the_queues_shortens_waits_by_orders_of_magnitude() -> None:
    """As published: waits of a thousand seconds without, three orders of magnitude less with."""
    models = tuple(
        dataclasses.replace(m, servers=n) for m, n in zip(published(bounded=False), (20, 60, 400), strict=True)
    )
    queries = short_questions(6000)
    case = make_case(models, queries)
    cost = costs(case, 0.8)
    unaware = online.route(case, queries.arrival_s, cost, online.cheapest, "unaware")
    aware = online.route(case, queries.arrival_s, cost, online.pricing_wait(0.01), "aware")
    assert unaware.wait_mean_s > 300
    assert aware.wait_mean_s < unaware.wait_mean_s / 100
