from dataclasses import replace

import pytest

from controller.errors import SolverError
from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.resume import unknown
from controller.model.observation import Missing, PowerConflict, PowerLadder, Rung
from controller.model.plan import PlanOrigin
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import decide
from router.contract import Precision
from tests.fakes.fake_fleet import FakeFleet, site

PLANNER = CvxpyPlanner(lambda: 0.0)


def second_tick(fleet=None, memory=None, planner=PLANNER, **changes):
    running = FakeFleet(fleet or site(), {"premium": 2.0, "standard": 5.0, "flex": 1.0})
    running.advance(4.0)
    memory = memory or Memory.initial(running.site, 0.0)
    first = decide(running.site, TickPolicy(mode=Mode.ACT), planner, memory, running.observe())
    running.advance(2.0)
    observation = replace(running.observe(), **changes)
    return decide(running.site, TickPolicy(mode=Mode.ACT), planner, first.memory, observation)


def reasons(**changes):
    return second_tick(**changes).diagnostics


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


class NoPlanner:
    def plan(self, data, *, time_limit_s):
        raise SolverError("no solver in this test")

    def dispatch(self, data, on):
        raise SolverError("no solver in this test")


def test_a_plan_from_a_lower_rung_is_told_as_long_as_it_is_in_force():
    told = reasons(planner=NoPlanner())
    assert told.slow_reasons == ()
    assert [(f.ladder, f.step) for f in told.fallbacks] == [("plan", "greedy"), ("dispatch", "greedy")]


def with_class(**changes):
    fleet = site()
    premium, *others = fleet.classes
    return replace(fleet, classes=(replace(premium, **changes), *others))


@pytest.mark.parametrize(
    ("changes", "unkept", "says"),
    [
        ({"itl_slo_s": 0.001}, ("inter_token", "first_token"), "raise plan.classes.premium.itl_slo_s"),
        ({"ttft_slo_s": 0.001}, ("first_token",), "raise plan.classes.premium.ttft_slo_s"),
    ],
)
def test_a_class_whose_latency_no_pool_keeps_is_served_all_the_same_and_told(changes, unkept, says):
    decided = second_tick(with_class(**changes))
    told = decided.diagnostics
    assert [item.unkept for item in told.classes] == [unkept, (), ()]
    (step,) = told.fallbacks
    assert (step.ladder, step.subject) == ("latency", "premium")
    assert says in step.reason
    assert "premium" in [weights.class_id for weights in decided.commands.table.weights]


def test_a_class_that_no_pool_may_serve_is_told_and_its_requests_are_missing_from_the_plan():
    fleet = with_class(precisions=(Precision.INT8,))
    decided = second_tick(fleet)
    told = decided.diagnostics
    assert told.classes[0].unkept == ("pool",)
    assert [(f.ladder, f.subject) for f in told.fallbacks if f.ladder == "latency"] == [("latency", "premium")]
    assert ("serve", "premium") in [(slack.promise, slack.subject) for slack in told.slack]
    assert "premium" not in [weights.class_id for weights in decided.commands.table.weights]


def test_an_unknown_burn_allows_no_loss_and_stands_on_the_ladder():
    fleet = site()
    told = reasons(memory=unknown(fleet, 0.0))
    bound = [cls.class_id for cls in fleet.classes if cls.quality_budget_frac < 1.0]
    assert [f.subject for f in told.fallbacks if f.ladder == "quality"] == bound
    assert bound
    for cls, item in zip(fleet.classes, told.classes, strict=True):
        assert item.quality_left_frac is None
        assert item.quality_allowed_frac == (0.0 if cls.class_id in bound else 1.0)


def test_sources_that_disagree_are_each_told_up_to_a_few():
    conflicts = tuple(PowerConflict(f"GPU-{n}", "nvml", 500.0, "dcgm", 400.0, 0.0) for n in range(5))
    told = reasons(power_ladder=PowerLadder(Rung.NVML, Rung.METER, "the meter is 40 s old", conflicts))
    steps = [(f.step, f.subject, f.reason) for f in told.fallbacks if f.ladder == "power"]
    assert steps[0] == ("nvml", "", "the meter is 40 s old")
    assert [subject for _, subject, _ in steps[1:]] == ["GPU-0", "GPU-1", "GPU-2", "others"]
    assert steps[1][2].startswith("GPU-0: nvml says 500 W, dcgm 400 W; check unit, sign")
    assert steps[4][2] == "and 2 more"
    assert (told.power_rung, told.margin_frac) == (Rung.NVML, 0.03)  # emulated: as exact as the meter
