from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from controller.optimizer.check import violations
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.kept import Promises
from controller.optimizer.program import Held, Search
from controller.optimizer.whole_fleet import WholeFleet
from tests.fakes.least_cost import stated
from tests.fakes.problems import battery_data, class_data, pool_data, problem, response_data, site_data
from tests.fakes.random_problems import large_fleets

NONE = np.zeros((2, 1))


def two_sites(gpus):
    sites = (site_data("here", gpus=gpus), site_data("there", gpus=gpus))
    pools = (pool_data("here", gpus_per_instance=2), pool_data("there", gpus_per_instance=2, site=1))
    return problem(sites=sites, pools=pools)


def test_every_part_of_an_instance_is_one_where_gpus_are_left():
    assert WholeFleet(two_sites(18)).counts(np.array([[2.3], [1.0]]), NONE).tolist() == [[3.0], [1.0]]


def test_full_sites_keep_the_total_of_a_kind():
    # Two GPUs of each site are left: one instance more here, none there, of 2.6 and 2.4.
    fleet = WholeFleet(two_sites(4))
    assert fleet.counts(np.array([[1.6], [1.4]]), NONE).tolist() == [[2.0], [2.0]]
    assert WholeFleet(two_sites(2)).counts(np.array([[0.6], [1.0]]), NONE).tolist() == [[1.0], [1.0]]


def test_a_full_site_holds_no_more_than_its_gpus():
    pools = (pool_data("full", gpus_per_instance=4), pool_data("lean", gpus_per_instance=2))
    fleet = WholeFleet(problem(pools=pools, gpus=8))
    assert fleet.counts(np.array([[1.5], [1.0]]), NONE).tolist() == [[1.0], [1.0]]
    assert fleet.counts(np.array([[1.4], [1.2]]), NONE).tolist() == [[1.0], [2.0]]


def large(demand, price, *, deferring, with_battery, gpus=400):
    pools = tuple(
        pool_data(name, instances=100, max_on=100, on_now=30, sleeping_now=0, gpus_per_instance=2, **more)
        for name, more in (("full", {"p0_w": 2000.0}), ("lean", {"quality_loss_frac": 0.02}))
    )
    classes = (
        class_data("standard", 0.0, demand_tokens_per_s=demand, survives_loss=True),
        class_data("batch", 5000.0, defer_steps=2 * deferring),
    )
    assets = {"battery": battery_data(charge_w=9e3, capacity_wh=9e3), "pv_w": (9e3,) * 3} if with_battery else {}
    return problem(
        pools=pools,
        classes=classes,
        allowed=((True, True),) * 2,
        busy_s_per_token=((1e-3, 1e-3),) * 2,
        j_per_token=((0.3, 0.2),) * 2,
        moves_anywhen=True,
        gpus=gpus,
        price_usd_per_mwh=price,
        response=response_data(baseline_w=(9e4,) * 3, most_w=(0.0, 2e4, 0.0)),
        **assets,
    )


def test_a_large_fleet_needs_no_search():
    data = large((20_000.0, 30_000.0, 25_000.0), (50.0, 80.0, 20.0), deferring=True, with_battery=True)
    program = stated(data)
    held = Held(program, Search(5.0))
    relaxed = held.relaxed(5.0)
    found = WholeFleet(data).answer(held, program, relaxed, lambda: 5.0)
    assert found is not None
    whole = found.x[program.whole]
    assert whole == pytest.approx(np.rint(whole), abs=1e-6)
    assert found.bound == relaxed.objective <= found.objective


@settings(max_examples=15, derandomize=True)
@given(large_fleets())
def test_an_answer_that_is_to_keep_the_promises_keeps_them(data):
    program, relaxed, _, keeping = rounded_both_ways(data)
    promises = Promises.kept_by(program, relaxed.x)
    if keeping is None:
        return
    assert promises.are_kept(keeping.x)
    assert keeping.x[program.whole] == pytest.approx(np.rint(keeping.x[program.whole]), abs=1e-6)
    assert keeping.objective >= relaxed.objective * (1 - 1e-9)


def rounded_both_ways(data):
    program = stated(data)
    held = Held(program, Search(5.0))
    relaxed = held.relaxed(5.0)
    fleet = WholeFleet(data)
    rounded = fleet.answer(held, program, relaxed, lambda: 5.0)
    return program, relaxed, rounded, fleet.keeping(held, program, Promises.kept_by(program, relaxed.x), lambda: 5.0)


def test_there_are_full_sites_where_rounding_breaks_what_need_not_be_broken():
    def breaks(data):
        program, relaxed, rounded, keeping = rounded_both_ways(data)
        kept = Promises.kept_by(program, relaxed.x)
        return rounded is not None and keeping is not None and not kept.are_kept(rounded.x)

    find(large_fleets(), breaks, settings=settings(max_examples=60, derandomize=True, phases=[Phase.generate]))


PLANNER = CvxpyPlanner(lambda: 0.0)


@settings(max_examples=25)
@given(
    st.tuples(*(st.floats(0.0, 90_000.0),) * 3),
    st.tuples(*(st.floats(-20.0, 500.0),) * 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([60, 110, 400]),
)
def test_fleets_with_options_are_planned_within_every_bound(demand, price, deferring, with_battery, gpus):
    data = large(demand, price, deferring=deferring, with_battery=with_battery, gpus=gpus)
    assert violations(PLANNER.plan(data, time_limit_s=5.0), data) == ()


def test_equal_problems_in_equal_order_have_equal_plans():
    data = large((20_000.0, 30_000.0, 25_000.0), (50.0, 80.0, 20.0), deferring=True, with_battery=True)
    other = replace(data, carbon_usd_per_kg=0.05)
    first, again = ([planner.plan(each, time_limit_s=5.0) for each in (data, other)] for planner in planners())
    assert first == again


def planners():
    return CvxpyPlanner(lambda: 0.0), CvxpyPlanner(lambda: 0.0)
