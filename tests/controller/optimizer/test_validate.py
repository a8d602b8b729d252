from dataclasses import replace

import pytest

from controller.errors import ConfigError, ProblemError, SolverError
from controller.model.plan import Horizon
from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.validate import validate
from tests.fakes.problems import battery_data, class_data, pool_data, problem, response_data, site_data

NAN = float("nan")


def cls(**changes):
    return {"classes": (class_data("standard", 800.0, **changes),)}


def pools(**changes):
    return {"pools": (pool_data("full", **changes), pool_data("lean"))}


def test_a_sound_problem_is_taken():
    validate(problem())
    validate(problem(battery=battery_data(), pv_w=(1.0,) * 3, response=response_data(), limit_w=(None, 5.0, 0.0)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            cls(demand_tokens_per_s=(1.0, -5.0, 1.0)),
            "demand_tokens_per_s of class standard is -5.0 in interval 1; give",
        ),
        (cls(demand_tokens_per_s=(1.0, 1.0, NAN)), "demand_tokens_per_s of class standard is nan in interval 2"),
        (cls(demand_tokens_per_s=(1.0,)), "has 1 entries; give one for each of the 3 intervals"),
        (cls(quality_budget_frac=(-0.1,) * 3), "quality_budget_frac of class standard is -0.1"),
        (cls(serve_usd_per_token=NAN), "serve_usd_per_token of class standard is nan"),
        (cls(backlog_tokens_per_s=(1.0,)), "give at most defer_steps, 0"),
        (cls(defer_steps=1, backlog_tokens_per_s=(-1.0,)), "backlog_tokens_per_s of class standard is -1.0"),
        ({"price_usd_per_mwh": (50.0, NAN, 50.0)}, "price_usd_per_mwh of site site is nan in interval 1"),
        ({"carbon_kg_per_mwh": (50.0,)}, "carbon_kg_per_mwh of site site has 1 entries"),
        ({"limit_w": (None, NAN, None)}, "limit_w of site site is nan"),
        ({"gpus": -1}, "gpus of site site is -1"),
        ({"pue": 0.9}, "pue of site site is 0.9"),
        ({"ramp_w": -1.0}, "ramp_w of site site is -1"),
        ({"drawn_before_w": -1.0}, "drawn_before_w of site site is -1; give a number of at least 0"),
        ({"drawn_before_w": NAN, "ramp_w": 1.0}, "drawn_before_w of site site is nan"),
        ({"pv_w": (1.0, -1.0, 1.0)}, "pv_w of site site is -1.0 in interval 1"),
        ({"battery": battery_data(soc_wh=1100.0)}, "soc_wh of the battery of site site is 1100"),
        ({"battery": battery_data(min_wh=100.0)}, "soc_wh of the battery of site site is 0"),
        ({"battery": battery_data(charge_frac=1.1)}, "charge_frac of the battery of site site is 1.1; give a fraction"),
        ({"battery": battery_data(discharge_frac=0.0)}, "discharge_frac of the battery of site site is 0"),
        ({"battery": battery_data(discharge_w=-1.0)}, "discharge_w of the battery of site site is -1"),
        ({"response": response_data(baseline_w=())}, "baseline_w of the response of site site has 0 entries"),
        (
            {"response": response_data(reward_usd_per_mwh=(-1.0,) * 3)},
            "reward_usd_per_mwh of the response of site site",
        ),
        ({"utilisation_frac": 1.2}, "utilisation_frac of the problem is 1.2"),
        ({"horizon": Horizon(0.0, 60.0, 0)}, "a horizon of 0 intervals"),
        ({"classes": ()}, "the problem has no class"),
        ({"pools": ()}, "the problem has no pool"),
        (pools(site=3), "site of pool full is 3; give an index of the 1 sites"),
        (pools(on_now=5), "on_now + sleeping_now of pool full is 7"),
        (pools(min_on=4), "min_on of pool full is 4; give a number from 0 to 3"),
        (pools(min_on=3, gpus_per_instance=8), "pool full must keep 24 GPUs, its site has 18"),
        (pools(p0_w=NAN), "p0_w of pool full is nan"),
        ({"busy_s_per_token": ((1e-3, 0.0),)}, "busy_s_per_token of class standard on pool lean is 0; give a positive"),
        ({"j_per_token": ((NAN, 0.2),)}, "j_per_token of class standard on pool full is nan"),
        ({"j_per_token": ((0.2,),)}, "j_per_token is not a row for each class"),
        ({"move_usd_per_token": ((0.0, -1.0),)}, "move_usd_per_token of class standard on pool lean is -1"),
        (
            {"quality_loss_frac": ((0.0, 1.5),)},
            "quality_loss_frac of class standard on pool lean is 1.5; give a number",
        ),
        ({"quality_loss_frac": ((0.0,),)}, "quality_loss_frac is not a row for each class"),
    ],
)
def test_wrong_numbers_are_told_with_place_and_remedy(changes, says):
    with pytest.raises(ConfigError) as caught:
        validate(problem(**changes))
    assert says in str(caught.value)
    assert "; " in str(caught.value) or "row for each" in str(caught.value)


def test_what_a_class_may_not_use_may_be_anything():
    validate(problem(allowed=((True, False),), busy_s_per_token=((1e-3, 0.0),)))


def test_a_planner_refuses_them_as_a_ladder_expects():
    with pytest.raises(ProblemError) as caught:
        CvxpyPlanner(lambda: 0.0).plan(problem(price_usd_per_mwh=(NAN,) * 3), time_limit_s=1.0)
    assert isinstance(caught.value, SolverError)
    assert caught.value.exit_code == 2


def test_a_class_that_no_pool_may_serve_is_told_as_unserved():
    planner = CvxpyPlanner(lambda: 0.0)
    nowhere = problem(allowed=((False, False),))
    plan = planner.plan(nowhere, time_limit_s=5.0)
    assert [(s.promise, s.amount) for s in plan.slack] == [("serve", pytest.approx(800.0))]
    assert violations(plan, nowhere) == ()
    assert [s.promise for s in planner.dispatch(nowhere, (1, 1)).slack] == ["serve"]
    one_of_two = problem(
        classes=(class_data("standard", 800.0), class_data("lost", 50.0)),
        allowed=((True, True), (False, False)),
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
    )
    told = planner.plan(one_of_two, time_limit_s=5.0).slack
    assert [(s.promise, s.subject) for s in told] == [("serve", "lost")]


def test_a_site_without_gpus_is_its_base_load():
    data = problem()
    empty = site_data("empty", gpus=0, spare_w=0.0)
    both = replace(data, sites=(*data.sites, empty))
    plan = CvxpyPlanner(lambda: 0.0).plan(both, time_limit_s=5.0)
    assert plan.sites[1].power_w == pytest.approx((300.0,) * 3)
    assert violations(plan, both) == ()
