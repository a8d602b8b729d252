import time
from dataclasses import replace

import numpy as np
import pytest

from controller.errors import TimedOut
from controller.forecast.demand import Demand
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.problem import Inputs, build
from controller.lifecycle.ramps import Ramps
from controller.lifecycle.views import look
from controller.model.grid import GridEvent
from controller.optimizer import search as search_module
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.groups import Covering
from controller.optimizer.milp import compile_milp
from controller.optimizer.program import Answer, Search, solve
from controller.optimizer.search import search_whole
from controller.optimizer.solving import program_of
from controller.optimizer.values import set_values, shape_of
from controller.settlement.quality_budget import QualityBurn
from tests.bench.plan_core import problem_of
from tests.bench.plan_instances import make
from tests.fakes.fake_fleet import FakeFleet, pool, site
from tests.fakes.problems import class_data, pool_data, problem

SEARCH = Search(time_limit_s=20.0)


def program_for(data):
    compiled = compile_milp(shape_of(data))
    set_values(compiled.parameters, data, compiled.shape)
    return program_of(compiled)


def both(data):
    program = program_for(data)
    return search_whole(program, Covering(data), SEARCH, time.perf_counter), solve(program, SEARCH, whole=True)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"classes": (class_data("standard", 2600.0),)}, id="most of what there is"),
        pytest.param({"classes": (class_data("standard", 9000.0),)}, id="more than there is"),
        pytest.param({"limit_w": (None, 2500.0, 2500.0)}, id="a limit that breaks a promise"),
        pytest.param({"pools": (pool_data("full", max_on=1), pool_data("lean", min_on=2))}, id="bounds"),
        pytest.param({"price_usd_per_mwh": (-40.0, 50.0, 900.0)}, id="prices of either sign"),
    ],
)
def test_the_answer_is_as_good_as_branch_and_bound_alone(changes):
    found, plain = both(problem(**changes))
    assert found.objective == pytest.approx(plain.objective, rel=1e-6)
    assert found.bound <= found.objective * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_small_core_problem_is_solved_to_the_optimum(seed):
    found, plain = both(problem_of(make("S", seed)))
    assert found.objective == pytest.approx(plain.objective, rel=1e-6)
    assert found.gap_frac == pytest.approx(0.0, abs=1e-6)


def test_covers_lift_the_bound():
    data = problem_of(make("M", 0))
    program = program_for(data)
    relaxed = solve(program, SEARCH, whole=False)
    rows, everywhere = Covering(data).rows(program, relaxed.x)
    assert everywhere
    assert solve(program.with_rows(rows), SEARCH, whole=False).objective > 1.01 * relaxed.objective


def large_fleet():
    core = make("M", 0)
    core["site_gpus"] = [8000] * 3
    core["demand"] = (np.array(core["demand"]) * 40).tolist()
    return problem_of(core)


def test_a_large_fleet_is_planned_near_its_relaxation():
    data = large_fleet()
    program = program_for(data)
    relaxed = solve(program, SEARCH, whole=False)
    found = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    assert found.objective <= 1.002 * relaxed.objective
    assert found.bound == pytest.approx(relaxed.objective)
    on = found.x[program.columns["on"]]
    assert on == pytest.approx(np.rint(on), abs=1e-6)


def test_what_was_found_near_the_relaxation_is_kept_when_time_is_up(monkeypatch):
    data = problem(classes=(class_data("standard", 1500.0),))
    program = program_for(data)
    solved = search_module.solve

    def late(*arguments, start=None, **options):
        if start is not None:
            raise TimedOut("late")
        return solved(*arguments, **options)

    monkeypatch.setattr(search_module, "solve", late)
    monkeypatch.setattr(search_module, "_is_close", lambda *_: False)
    found = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    assert found.objective >= found.bound


def test_a_large_fleet_is_rounded_up_when_the_search_finds_nothing_in_time(monkeypatch):
    monkeypatch.setattr(search_module, "_near", lambda *_: None)
    data = large_fleet()
    program = program_for(data)
    found = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    assert found.objective <= 1.01 * found.bound
    on = found.x[program.columns["on"]]
    assert on == pytest.approx(np.rint(on), abs=1e-6)


def test_the_better_of_two_answers_is_kept(monkeypatch):
    data = large_fleet()
    program = program_for(data)
    relaxed = solve(program, SEARCH, whole=False)
    poor = Answer(relaxed.x, 10 * relaxed.objective, relaxed.objective)
    monkeypatch.setattr(search_module, "_near", lambda *_: poor)
    found = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    assert found.objective < poor.objective


def test_inequalities_that_take_too_long_are_left_out(monkeypatch):
    data = large_fleet()
    program = program_for(data)
    solved = search_module.solve

    def late(*arguments, basis=None, **options):
        if basis is not None:
            raise TimedOut("late")
        return solved(*arguments, **options)

    monkeypatch.setattr(search_module, "solve", late)
    found = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    assert found.objective <= 1.01 * found.bound


def test_a_good_plan_beyond_the_rounded_relaxation_is_found_if_told_where(monkeypatch):
    # Left to what is near the relaxation, the search has no proof to go on with.
    data = problem_of(make("M", 0))
    program = program_for(data)
    best = search_whole(program, Covering(data), SEARCH, time.perf_counter)
    place = np.where(program.whole, np.rint(best.x), np.nan)
    solved = search_module.solve

    def without_proof(*arguments, start=None, **options):
        if start is not None:
            raise TimedOut("late")
        return solved(*arguments, **options)

    monkeypatch.setattr(search_module, "solve", without_proof)
    costs = [
        search_whole(program, Covering(data), replace(SEARCH, place=there), time.perf_counter).objective
        for there in (None, place)
    ]
    assert costs[1] < costs[0] * (1 - 1e-5)
    assert costs[1] == pytest.approx(best.objective, rel=1e-6)


@pytest.mark.parametrize("limit_w", [20_000.0, 28_000.0, 36_000.0])
def test_where_totals_are_too_many_to_enumerate_a_plan_that_breaks_promises_is_proven_too(limit_w):
    """Near the relaxation alone `premium` would go unserved, though by other instances it need not."""
    whole = site(gpus=400)
    pools = tuple(
        pool(each.pool_id, each.precision, each.gpus_per_instance, 9, each.curves, each.quality_loss_frac)
        for each in whole.pools
    )
    of = replace(whole, pools=pools)
    data = build(
        of,
        TickPolicy(steps=12),
        Inputs(
            now_s=1000.0,
            views=look(of, (), FakeFleet(of, {}).observe(), stale_s=15.0, retry_s=30.0),
            demand=tuple(Demand(asked, 1155.0, 211.0) for asked in (5000.0, 16_000.0, 12_000.0)),
            burns=tuple(QualityBurn.empty(cls.class_id, 86_400.0) for cls in of.classes),
            events=(GridEvent("e", limit_w, 900.0, 1400.0, 0.0),),
            price_usd_per_mwh=(50.0,) * 12,
            carbon_kg_per_mwh=(400.0,) * 12,
            bias_w=0.0,
            margin_frac=0.03,
            retry_s=30.0,
            ramps=Ramps(),
        ),
    )
    plan = CvxpyPlanner(lambda: 0.0).plan(data, time_limit_s=30.0)
    assert plan.gap_frac < 1e-4
    assert "premium" not in {slack.subject for slack in plan.slack if slack.promise == "serve"}
