import json
from dataclasses import asdict

from controller.lifecycle.diagnostics import Fallback
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import Memory, Mode, TickPolicy, decide
from tests.fakes.fake_fleet import FakeFleet, site


def test_a_decisions_reasons_are_plain_data():
    fleet = FakeFleet(site(), {"standard": 1.0, "premium": 1.0, "flex": 1.0})
    policy = TickPolicy(mode=Mode.ACT)
    decision = decide(fleet.site, policy, CvxpyPlanner(lambda: 0.0), Memory.initial(fleet.site, 0.0), fleet.observe())
    assert json.loads(json.dumps(asdict(decision.diagnostics)))["slow_reasons"] == ["first plan"]


def test_a_step_down_says_what_took_over_and_why():
    assert Fallback("plan", "greedy", "no plan within 2 s").step == "greedy"
