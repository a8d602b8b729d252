"""The programs are stated once: what changes from tick to tick are values, which need no canonicalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from controller.model.grid import GridEvent, Series
from controller.model.observation import InstanceState, Observation
from controller.model.plan import PlanOrigin
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.tick import Decision, Memory, Mode, TickPolicy, decide
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.problems import STEPS, battery_data, class_data, pool_data, problem, response_data, site_data
from tests.fakes.statements import Statements, counted

TICK_S = 2.0
POLICY = TickPolicy(mode=Mode.ACT, slow_interval_s=10.0)
RAMPED = replace(POLICY, ramp_up_w_per_s=200.0, ramp_down_w_per_s=200.0)


class Service:
    """A controller and its fleet, with a price that moves at every tick."""

    def __init__(self, policy: TickPolicy = POLICY, **of_site: object) -> None:
        self.fleet = FakeFleet(site(**of_site), {"premium": 4.0, "standard": 14.0, "flex": 8.0})
        self.policy, self.planner = policy, CvxpyPlanner(lambda: 0.0)
        self.memory = Memory.initial(self.fleet.site, self.fleet.now_s)

    def _observed(self) -> Observation:
        now_s = self.fleet.now_s
        price = Series((0.0,), (40.0 + now_s % 97.0,), 1e9, "usd_per_mwh", "test")
        carbon = Series((0.0,), (300.0 + now_s % 89.0,), 1e9, "kg_per_mwh", "test")
        return replace(self.fleet.observe(), price_usd_per_mwh=price, carbon_kg_per_mwh=carbon)

    def run(self, seconds: float) -> list[Decision]:
        decisions = []
        for _ in range(round(seconds / TICK_S)):
            self.fleet.advance(TICK_S)
            decision = decide(self.fleet.site, self.policy, self.planner, self.memory, self._observed())
            self.memory = decision.memory
            self.fleet.obey(decision)
            decisions.append(decision)
        return decisions

    def call(self, limit_w: float, lasts_s: float) -> None:
        start_s = self.fleet.now_s + 20.0
        event = GridEvent("e", limit_w, start_s, start_s + lasts_s, self.fleet.now_s, ramp_s=30.0)
        self.fleet.events = (*self.fleet.events, event)


def _eventful(service: Service) -> list[Decision]:
    """Demand that doubles, an event that comes and goes, an engine that is lost and found."""
    fleet = service.fleet
    decisions = service.run(20)
    fleet.rps = {name: 2.0 * rps for name, rps in fleet.rps.items()}
    decisions += service.run(40)
    service.call(13_000.0, lasts_s=40.0)
    decisions += service.run(70)
    lost = fleet.engines[-1]
    lost.state = InstanceState.UNREACHABLE
    decisions += service.run(20)
    lost.state = InstanceState.SLEEPING
    return decisions + service.run(20)


@pytest.mark.parametrize("policy", [POLICY, RAMPED], ids=["plain", "ramped"])
def test_no_tick_after_the_first_states_or_canonicalises_anything(policy: TickPolicy) -> None:
    service = Service(policy)
    with counted() as first:
        service.run(TICK_S)
    assert first.canonicalised == 2  # the plan's program, and the dispatch's
    with counted() as later:
        decisions = _eventful(service)
    assert later == Statements()
    plans = [decision for decision in decisions if decision.diagnostics.slow_reasons]
    assert len(plans) > 10
    assert {decision.plan.origin for decision in plans if decision.plan} == {PlanOrigin.MILP}
    assert {decision.diagnostics.limit_w is None for decision in decisions} == {True, False}
    assert len({pool.on for decision in plans if decision.plan for pool in decision.plan.pools}) > 4


def test_a_budget_that_an_event_lets_overdraw_is_stated_at_the_first_event_only() -> None:
    whole = site()
    service = Service(classes=tuple(replace(cls, quality_may_overdraw=True) for cls in whole.classes))
    service.run(20)
    for expected in (1, 0):
        service.call(13_000.0, lasts_s=20.0)
        with counted() as seen:
            service.run(60)
        assert seen.canonicalised == expected


def _every_option(t: int) -> ProblemData:
    """Two sites with every option, in the `t`-th of several ticks with other values throughout."""
    battery = battery_data(soc_wh=100.0 * t, charge_frac=0.9, final_wh=50.0 * t)
    calls = (0.0, 300.0 * (t % 2), 0.0)
    here = site_data(
        price_usd_per_mwh=(50.0 + t, 70.0, 20.0 - 15.0 * t),
        limit_w=(None, 4000.0 if t % 2 else None, None),
        ramp_w=1000.0 + t,
        ramp_down_w=800.0,
        pv_w=(0.0, 100.0 * t, 500.0),
        battery=battery,
        response=response_data(baseline_w=(2500.0 + t,) * STEPS, most_w=calls),
    )
    pools = (
        pool_data("full", on_now=t % 3, sleeping_now=1, p0_w=2000.0, locked=(t % 2, 0, 0)),
        pool_data("lean", on_now=2, sleeping_now=0, quality_loss_frac=0.02, late=(0.3 * t, 0.0, 0.0), site=1),
    )
    waiting = class_data("batch", 100.0 * t, defer_steps=2, backlog_tokens_per_s=(10.0 * t, 50.0))
    spending = class_data("standard", 500.0 + 100.0 * t, quality_window=True, survives_loss=True)
    return problem(
        sites=(here, site_data("there", price_usd_per_mwh=(60.0, 10.0 * t, 60.0))),
        pools=pools,
        classes=(spending, waiting),
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3 + 1e-5 * t, 1e-3),) * 2,
        j_per_token=((0.3, 0.2 + 0.01 * t),) * 2,
        move_usd_per_token=((0.0, 1e-9 * t),) * 2,
    )


@pytest.mark.parametrize(
    "solved",
    [
        pytest.param(lambda planner, data: planner.plan(data, time_limit_s=5.0), id="plan"),
        pytest.param(lambda planner, data: planner.dispatch(data, (1, 2)), id="dispatch"),
        pytest.param(lambda planner, data: planner.bound_usd(data), id="bound"),
    ],
)
def test_nor_do_other_values_of_any_option(solved: Callable[[CvxpyPlanner, ProblemData], object]) -> None:
    planner = CvxpyPlanner(lambda: 0.0)
    solved(planner, _every_option(0))
    with counted() as seen:
        answers = [solved(planner, _every_option(t)) for t in range(1, 6)]
    assert seen == Statements()
    assert all(one != other for one, other in pairwise(answers))
