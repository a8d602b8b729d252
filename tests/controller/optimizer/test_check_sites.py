from dataclasses import replace

import pytest

from controller.model.plan import PlanOrigin
from controller.optimizer.check import violations
from controller.optimizer.onsite import Flows
from controller.optimizer.outcome import assemble
from tests.fakes.problems import battery_data, saying, steady

DATA = steady(pv_w=(500.0,) * 3, battery=battery_data(soc_wh=200.0))
STILL = ((0.0,) * 3,)


def made(pv=STILL, charge=STILL, discharge=STILL, data=DATA):
    return assemble(
        data, PlanOrigin.MILP, ((1, 1, 1),), ((0, 0, 0),), (((0.0,) * 3,),), flows=Flows(pv, charge, discharge)
    )


def test_a_sound_plan_has_none():
    assert violations(made(((500.0,) * 3,), ((800.0, 0.0, 0.0),), ((0.0, 500.0, 500.0),)), DATA) == ()


@pytest.mark.parametrize(
    ("flows", "says"),
    [
        pytest.param({"pv": ((0.0, 600.0, 0.0),)}, "600.0 W of photovoltaics used of 500.0 W", id="sun"),
        pytest.param({"charge": ((1100.0, 0.0, 0.0),)}, "charging at 1100.0 W of 1000.0 W", id="charging"),
        pytest.param({"discharge": ((600.0, 0.0, 0.0),)}, "discharging at 600.0 W of 500.0 W", id="discharging"),
        pytest.param({"discharge": ((500.0, 0.0, 0.0),)}, "-300.0 Wh stored, outside 0.0..1000.0 Wh", id="empty"),
        pytest.param({"charge": ((900.0, 0.0, 0.0),)}, "1100.0 Wh stored, outside", id="full"),
        pytest.param(
            {"charge": ((600.0, 0.0, 0.0),), "discharge": ((500.0, 0.0, 0.0),)}, "together take 1.600", id="both"
        ),
    ],
)
def test_what_cannot_be_is_found(flows, says):
    assert any(says in line for line in violations(made(**flows), DATA))


def test_nothing_is_fed_into_the_grid():
    sunny = steady(pv_w=(2000.0,) * 3)
    assert any("452.0 W fed into the grid" in line for line in violations(made(((2000.0,) * 3,), data=sunny), sunny))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"import_w": (1000.0,) * 3}, "import of 1000.0 W predicted, the model says 1548.0 W", id="import"),
        pytest.param({"soc_wh": (200.0, 300.0, 200.0, 200.0)}, "300.0 Wh stored, charging", id="charge"),
        pytest.param({"soc_wh": (200.0,)}, "state of charge of 1 intervals, 4 expected", id="edges"),
        pytest.param({"pv_w": ()}, "photovoltaics of 0 intervals", id="missing"),
        pytest.param({"charge_w": (float("nan"),) * 3}, "charging is not finite", id="nan"),
    ],
)
def test_what_a_plan_says_must_be_true(change, says):
    assert any(says in line for line in violations(saying(made(), **change), DATA))


def test_a_battery_that_is_not_there_cannot_be_used():
    plan = saying(made(data=steady()), charge_w=(1.0,) * 3)
    assert violations(plan, steady()) == ("site: charging of 3 intervals, 0 expected",)


@pytest.mark.parametrize(
    ("data", "promise"),
    [
        pytest.param(steady(battery=battery_data(final_wh=500.0)), "final_soc", id="final charge"),
        pytest.param(steady(pv_w=(900.0, 0.0, 0.0), ramp_w=100.0), "ramp", id="ramp"),
        pytest.param(steady(pv_w=(0.0, 900.0, 900.0), ramp_down_w=100.0), "ramp", id="ramp down"),
        pytest.param(steady(ramp_w=100.0, drawn_before_w=900.0), "ramp", id="first interval"),
        pytest.param(steady(ramp_down_w=100.0, drawn_before_w=9000.0), "ramp", id="first interval down"),
    ],
)
def test_a_promise_broken_silently_is_found(data, promise):
    plan = made((data.sites[0].pv_w or STILL[0],), data=data)
    assert [slack.promise for slack in plan.slack] == [promise]
    assert violations(plan, data) == ()
    assert any("silently" in line for line in violations(replace(plan, slack=()), data))
