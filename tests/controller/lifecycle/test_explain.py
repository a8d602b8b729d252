from dataclasses import replace

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.observation import Missing
from controller.model.plan import PlanOrigin
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import decide
from tests.fakes.fake_fleet import FakeFleet, site

PLANNER = CvxpyPlanner(lambda: 0.0)


def reasons(**changes):
    running = FakeFleet(site(), {"premium": 2.0, "standard": 5.0, "flex": 1.0})
    running.advance(4.0)
    first = decide(running.site, TickPolicy(mode=Mode.ACT), PLANNER, Memory.initial(site(), 0.0), running.observe())
    running.advance(2.0)
    observation = replace(running.observe(), **changes)
    return decide(running.site, TickPolicy(mode=Mode.ACT), PLANNER, first.memory, observation).diagnostics


def test_a_calm_tick_names_its_plan_and_no_step_down():
    calm = reasons()
    assert (calm.plan_origin, calm.dispatch_origin) == (PlanOrigin.MILP, PlanOrigin.DISPATCH)
    assert (calm.slow_reasons, calm.slow_solve_s, calm.fallbacks) == ((), None, ())
    assert calm.fast_solve_s is not None
    assert calm.price_usd_per_mwh == 60.0


def test_pools_add_up_to_the_fleet_and_the_modelled_power():
    calm = reasons()
    assert sum(pool.serving for pool in calm.pools) == 14
    assert 1.1 * sum(pool.power_w for pool in calm.pools) + 500.0 == pytest.approx(calm.modelled_w)
    assert sum(pool.tokens_per_s for pool in calm.pools) > 0


def test_classes_carry_demand_and_quality():
    premium, standard, _ = reasons().classes
    assert standard.demand_tokens_per_s == pytest.approx(5.0 * 211.0, rel=0.05)
    assert standard.forecaster == "persistence"
    assert set(standard.planned_tokens_per_s) == {standard.demand_tokens_per_s}
    assert premium.quality_allowed_frac == pytest.approx(0.002, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "ladder", "says"),
    [
        ({"site_power": Missing("meter", "unplugged", 0.0)}, "power", "meter is missing: unplugged"),
        ({"router": Missing("router", "refused", 0.0)}, "demand", "router: refused"),
        ({"price_usd_per_mwh": Missing("ercot", "late", 0.0)}, "price", "ercot is missing"),
        ({"carbon_kg_per_mwh": Missing("caiso", "late", 0.0)}, "carbon", "caiso is missing"),
    ],
)
def test_every_step_down_of_the_inputs_is_told(changes, ladder, says):
    told = [fallback for fallback in reasons(**changes).fallbacks if fallback.ladder == ladder]
    assert len(told) == 1
    assert says in told[0].reason


def test_without_reports_their_ages_are_unknown():
    blind = reasons(site_power=Missing("meter", "unplugged", 0.0), router=Missing("router", "refused", 0.0))
    assert (blind.measured_w, blind.measured_age_s, blind.router_age_s) == (None, None, None)
