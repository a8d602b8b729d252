from __future__ import annotations

import dataclasses

import pytest

from controller.errors import ConfigError
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation import scenario
from controller.simulation.scenario import instances_needed, with_bf16_alone
from controller.simulation.site_router import Request
from router.contract import Precision
from tests.fakes import scenarios


def test_bf16_alone_gets_all_gpus_all_classes_and_no_event() -> None:
    event = GridEvent("e", 1.0, scenarios.START_S, scenarios.START_S + 9, scenarios.START_S)
    alone = with_bf16_alone(scenarios.mixed(seconds=10.0, events=(event,)))
    (pool,) = alone.site.pools
    assert pool.precision is Precision.BF16
    assert len(pool.instances) * pool.gpus_per_instance == alone.site.gpus == 8
    assert all(cls.may_use(pool) for cls in alone.site.classes)
    assert alone.signals.events == ()
    assert alone.requests == scenarios.mixed(seconds=10.0).requests


def test_bf16_alone_begins_with_what_the_demand_needs() -> None:
    light = with_bf16_alone(scenarios.mixed(seconds=30.0, per_s=2.0))
    heavy = with_bf16_alone(scenarios.mixed(seconds=30.0, per_s=60.0))
    assert len(light.sleeping) == 3
    assert len(heavy.sleeping) < len(light.sleeping)


def test_a_fleet_without_bf16_has_nothing_to_compare_with() -> None:
    played = scenarios.mixed(seconds=10.0)
    site = dataclasses.replace(played.site, pools=played.site.pools[1:])
    with pytest.raises(ConfigError, match="no bf16 pool"):
        with_bf16_alone(dataclasses.replace(played, site=site))


def test_instances_needed_grow_with_the_demand_and_stay_within_the_pool() -> None:
    site = scenarios.site()
    pool = site.pools[0]

    def needed(per_s: float) -> int:
        return instances_needed(pool, site.classes, scenarios.requests(30.0, per_s, seed=1), 0.8)

    assert needed(1.0) == 1
    assert 1 < needed(60.0) <= 3
    assert needed(1000.0) == len(pool.instances)


def test_without_requests_one_instance_is_enough() -> None:
    site = scenarios.site()
    assert instances_needed(site.pools[0], site.classes, (), 0.8) == 1


def test_a_context_that_no_batch_holds_needs_the_whole_pool() -> None:
    site = scenarios.site()
    tight = tuple(dataclasses.replace(cls, itl_slo_s=0.001) for cls in site.classes)
    asked = (Request(0, 0.0, scenarios.STANDARD, 10, 10),)
    assert instances_needed(site.pools[0], tight, asked, 0.8) == 3


def test_a_run_tells_its_ticks_and_serves_everything() -> None:
    played = scenarios.mixed(seconds=20.0)
    run = scenario.run(played, CvxpyPlanner(lambda: 0.0))
    assert run.outcome.tokens_lost == 0
    assert run.outcome.requests_finished == len(played.requests)
    assert run.ticks >= 10
    assert run.fallbacks == 0
