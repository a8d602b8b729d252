from __future__ import annotations

import numpy as np
import pytest

from controller.errors import ConfigError, TimedOut
from controller.model.plan import Plan
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.study.fleet.ledger import totals
from controller.study.fleet.make_case import make_case
from controller.study.fleet.play import fixed_fleet, play, play_fixed
from router.contract import Precision
from tests.fakes.fleet_cases import fleet_document, fleet_settings, rich_settings
from tests.fakes.fleet_planner import planner

CASE = make_case(fleet_settings())
PLAIN = CASE.with_pools(lambda pool: pool.precision is Precision.BF16)


def test_a_fixed_fleet_carries_the_peak() -> None:
    on = fixed_fleet(PLAIN)
    played = play_fixed(PLAIN, on, lambda _: None)
    found = totals(PLAIN, played.steps)
    assert found.unserved_frac == pytest.approx(0.0, abs=1e-9)
    assert found.late_frac == 0.0
    assert found.strained_frac == pytest.approx(0.0, abs=1e-6)


def test_a_fleet_too_small_for_its_peak_is_refused() -> None:
    document = fleet_document()
    document["sites"] = [{"name": "a", "gpus": 8, "price_zone": "LZ_HOUSTON"}]
    small = make_case(fleet_settings(**document)).with_pools(lambda pool: pool.precision is Precision.BF16)
    with pytest.raises(ConfigError, match=r"'a' has 8 GPUs, a fixed fleet for the peak takes .* there"):
        fixed_fleet(small)


def test_the_controller_serves_every_token_with_fewer_gpus() -> None:
    told: list[float] = []
    played = play(CASE, planner(), None, told.append)
    found, fixed = (
        totals(CASE, played.steps),
        totals(PLAIN, play_fixed(PLAIN, fixed_fleet(PLAIN), lambda _: None).steps),
    )
    assert found.unserved_frac == pytest.approx(0.0, abs=1e-6)
    assert found.output_tokens == pytest.approx(fixed.output_tokens)
    assert found.gpu_hours < fixed.gpu_hours
    assert found.bill.usd < fixed.bill.usd
    assert found.quality_loss_frac <= 0.006
    assert (played.plans, played.late_plans) == (6, 0)
    assert told == sorted(told)


def test_equal_cases_are_played_alike() -> None:
    first, second = (play(CASE, planner(), None, lambda _: None) for _ in range(2))
    for a, b in zip(first.steps, second.steps, strict=True):
        assert np.array_equal(a.on, b.on)
        assert np.allclose(a.rates, b.rates)


def test_a_plan_that_is_not_found_in_time_leaves_the_instances_as_they_are() -> None:
    class Tired(CvxpyPlanner):
        made = 0

        def plan(self, data: ProblemData, *, time_limit_s: float) -> Plan:
            self.made += 1
            if self.made > 1:
                raise TimedOut("late")
            return super().plan(data, time_limit_s=time_limit_s)

    played = play(CASE, Tired(lambda: 0.0), None, lambda _: None)
    assert (played.plans, played.late_plans) == (6, 5)
    assert all(np.array_equal(step.on, played.steps[0].on) for step in played.steps)


def test_what_cannot_be_served_at_once_is_served_later() -> None:
    few = (1, 0, 0, 0)
    played = play(CASE, planner(), few, lambda _: None)
    assert played.steps[0].late_tokens.sum() > 0
    found = totals(CASE, played.steps)
    assert found.late_frac > 0
    assert found.unserved_frac > 0


def test_a_site_without_gpus_draws_its_base_load_alone() -> None:
    document = fleet_document()
    document["sites"].append({"name": "c", "gpus": 0, "price_zone": "LZ_NORTH", "aux_kw": 3.0})
    case = make_case(fleet_settings(**document))
    played = play(case, planner(), None, lambda _: None)
    assert all(step.import_w[2] == pytest.approx(3000.0) for step in played.steps)


def test_a_fleet_at_home_serves_its_requests_there() -> None:
    document = fleet_document()
    for cls in document["classes"]:
        cls |= {"home": "a", "move_usd_per_mtoken": 1.0}
    case = make_case(fleet_settings(**document)).with_pools(lambda pool: pool.precision is Precision.BF16)
    on = fixed_fleet(case)
    assert on[1] == 0
    assert totals(case, play_fixed(case, on, lambda _: None).steps).bill.moves == 0.0


def test_demand_that_may_wait_is_put_off_and_served_by_the_end() -> None:
    case = make_case(rich_settings()).without_assets()
    played = play(case, planner(), None, lambda _: None)
    assert max(step.waiting_tokens[2] for step in played.steps) > 0
    found = totals(case, played.steps)
    assert found.unserved_frac == pytest.approx(0.0, abs=1e-6)
    assert found.late_frac == pytest.approx(0.0, abs=1e-6)
    assert all(step.waiting_tokens[:2].sum() == 0 for step in played.steps)
