from dataclasses import replace

import pytest

from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.data import ProblemData
from controller.optimizer.least_power import Reach, least_power_problem, within_reach
from controller.optimizer.validate import validate
from tests.controller.lifecycle.test_capability import facts

PLANNER = CvxpyPlanner(lambda: 0.0)
GONE_S = (21.0,) * 3
MINUTES = Reach(600.0, GONE_S, may_stop=False)


@pytest.fixture(scope="module")
def data() -> ProblemData:
    return facts(40).data


def least(data: ProblemData, reach: Reach, share: float = 1.0) -> tuple[float, tuple[int, ...]]:
    demand = tuple(share * cls.demand_tokens_per_s[0] for cls in data.classes)
    posed = least_power_problem(
        within_reach(data, reach), demand, tuple(c.quality_budget_frac[0] for c in data.classes)
    )
    validate(posed)
    plan = PLANNER.plan(posed, time_limit_s=5.0)
    assert plan.slack == ()
    return plan.import_w[0], tuple(pool.on[0] for pool in plan.pools)


def test_less_to_serve_takes_less(data: ProblemData) -> None:
    watts = [least(data, MINUTES, share)[0] for share in (0.25, 0.5, 1.0)]
    assert watts == sorted(watts)
    assert watts[0] < 0.8 * watts[2]


def test_no_price_of_energy_changes_it(data: ProblemData) -> None:
    prices = [replace(site, price_usd_per_mwh=(-50.0,) * data.horizon.steps) for site in data.sites]
    assert least(replace(data, sites=tuple(prices)), MINUTES)[0] == pytest.approx(least(data, MINUTES)[0])


def test_who_cannot_sleep_keeps_serving_unless_it_may_be_stopped(data: ProblemData) -> None:
    awake = replace(data, pools=tuple(replace(pool, may_sleep=False) for pool in data.pools))
    on_now = tuple(pool.on_now for pool in data.pools)
    assert least(awake, MINUTES)[1] == on_now
    assert sum(least(awake, Reach(3600.0, GONE_S, may_stop=True))[1]) < sum(on_now)
    stoppable = replace(awake, pools=tuple(replace(pool, may_stop=True) for pool in awake.pools))
    assert sum(least(stoppable, MINUTES)[1]) < sum(on_now)


def test_nobody_wakes_sooner_than_it_can(data: ProblemData) -> None:
    asleep = replace(data, pools=tuple(replace(pool, on_now=0, sleeping_now=pool.instances) for pool in data.pools))
    reached = within_reach(asleep, Reach(25.0, GONE_S, may_stop=True))
    assert [pool.max_on for pool in reached.pools] == [0, 0, 0]
    assert all(pool.max_on > 0 for pool in within_reach(asleep, MINUTES).pools)
    alone = within_reach(asleep, replace(MINUTES, may_come=False))
    assert [pool.max_on for pool in alone.pools] == [0, 0, 0]


def test_nobody_sleeps_sooner_than_it_can(data: ProblemData) -> None:
    reach = Reach(25.0, (21.0, 26.0, 25.0), may_stop=False)
    on = [pool.on_now for pool in data.pools]
    assert [pool.min_on for pool in within_reach(data, reach).pools] == [0, on[1], 0]


def test_who_is_on_its_way_up_stays_until_it_can_be_asleep_again(data: ProblemData) -> None:
    coming_s = ((5.0,), (), ())
    for lead_s, least_on in ((20.0, 1), (25.0, 1), (26.0, 0)):
        reach = Reach(lead_s, (21.0, 1.0, 1.0), may_stop=False, coming_s=coming_s)
        assert within_reach(data, reach).pools[0].min_on == least_on


def test_who_is_not_up_by_then_draws_and_does_not_serve(data: ProblemData) -> None:
    on, reach = data.pools[0].on_now, Reach(25.0, GONE_S, may_stop=False, coming_s=((30.0,), (), ()))
    late = within_reach(data, reach)
    assert (late.pools[0].on_now, late.pools[0].max_on) == (on - 1, on - 1)
    assert late.sites[0].spare_w == data.sites[0].spare_w + data.pools[0].p0_w
    validate(late)


def test_who_is_off_still_draws_what_it_draws(data: ProblemData) -> None:
    pools = tuple(replace(pool, instances=pool.instances + 2, off_w=40.0) for pool in data.pools)
    more_w = least(replace(data, pools=pools), MINUTES)[0] - least(data, MINUTES)[0]
    assert more_w == pytest.approx(6 * 40.0 * data.sites[0].pue)


def test_stopped_is_less_than_asleep_only_where_it_is_allowed(data: ProblemData) -> None:
    warm = replace(data, pools=tuple(replace(pool, sleeping_w=200.0, off_w=10.0) for pool in data.pools))
    hour = Reach(3600.0, GONE_S, may_stop=True)
    assert least(warm, hour)[0] < least(warm, replace(hour, may_stop=False))[0] - 1000.0


def test_what_is_held_is_not_counted_on(data: ProblemData) -> None:
    pools = tuple(
        replace(pool, is_held=True, may_stop=True, min_on=pool.on_now, max_on=pool.on_now) if k == 1 else pool
        for k, pool in enumerate(data.pools)
    )
    held = replace(data, pools=pools)
    for reach in (MINUTES, Reach(3600.0, GONE_S, may_stop=True)):
        assert least(held, reach)[1][1] == pools[1].on_now
        assert within_reach(held, reach).pools[1].instances == pools[1].instances


def test_of_those_that_are_held_others_may_bring_one_up(data: ProblemData) -> None:
    pools = (replace(data.pools[0], is_held=True), *data.pools[1:])
    coming = Reach(30.0, GONE_S, may_stop=False, coming_s=((90.0,), (), ()))
    reached = within_reach(replace(data, pools=pools), coming).pools[0]
    assert reached.min_on == reached.max_on == reached.on_now == data.pools[0].on_now - 1
