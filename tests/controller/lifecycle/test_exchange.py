"""Instances that take each other's place under a limit: what that takes, and what room they are kept."""

import pytest

from controller.lifecycle.exchange import (
    NO_EXCHANGE,
    Exchange,
    coming_up_w,
    exchange_of,
    exchange_usd,
    while_full,
    with_room_for,
)
from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.ramps import step_w
from controller.lifecycle.views import look
from controller.model.mode import Mode
from controller.model.observation import InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import least_power_w, rates_of
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pool_modes import with_modes
from tests.fakes.problems import at_site, problem

POLICY = TickPolicy(drain_expected_s=20.0)
ALL_WAIT = (20.0, 20.0, 20.0)


def planned():
    """A plan that serves its class."""
    return CvxpyPlanner(lambda: 0.0).plan(problem(), time_limit_s=5.0)


@pytest.mark.parametrize(("most_w", "drawn_w"), [(None, 9e3), (50e3, 9e3)], ids=["no limit", "room for one more"])
def test_where_both_fit_nothing_waits(most_w, drawn_w):
    assert exchange_of(site(), POLICY, planned(), 0.0, most_w=most_w, drawn_w=drawn_w) == NO_EXCHANGE


def test_what_comes_waits_for_what_goes_and_only_a_site_within_its_limit_pays_for_moves():
    settled = exchange_of(site(), POLICY, planned(), 0.0, most_w=9e3, drawn_w=8.9e3)
    served = sum(rate[0] for rate in rates_of(planned())[0])
    assert settled == Exchange(ALL_WAIT, (pytest.approx(served),), tuple(pool.on[0] for pool in planned().pools))
    assert exchange_of(site(), POLICY, planned(), 0.0, most_w=9e3, drawn_w=9.1e3) == Exchange(ALL_WAIT)
    assert exchange_of(site(), POLICY, None, 0.0, most_w=9e3, drawn_w=8.9e3) == Exchange(ALL_WAIT)


def test_what_there_is_room_for_waits_for_nothing_and_is_no_exchange():
    int4_w = step_w(site(), site().pools[2])
    assert all(step_w(site(), pool) > int4_w for pool in site().pools[:2])
    small = exchange_of(site(), POLICY, planned(), 0.0, most_w=9e3, drawn_w=9e3 - int4_w)
    assert small.waits_s == (20.0, 20.0, 0.0)
    served = Exchange(small.waits_s, (1e4, 0.0, 1e4), (1, 1, 2))
    bf16, fp8, int4 = exchange_usd(site(), served, WORTH, CAPACITIES)
    assert min(bf16, fp8) > 0.0 == int4


WORTH = (5e-6, 1e-6, 2e-6)
"""USD/token."""
CAPACITIES = (2000.0, 1500.0, 1000.0)


def paid(*args, on=(1, 1, 2)):
    """By how many USD/s of waiting each pool's instance comes dearer."""
    usd = exchange_usd(site(), Exchange(ALL_WAIT, *args, on), WORTH, CAPACITIES)
    return [each / (20.0 + pool.curves.wake_s) for each, pool in zip(usd, site().pools, strict=True)]


def test_a_move_costs_what_the_cheapest_classes_that_are_served_lose():
    """For a BF16 instance no other pool has enough that can go: an FP8 one and both INT4 ones must."""
    assert paid((1e4, 0.0, 1e4)) == pytest.approx([3500.0 * 2e-6, 2000.0 * 2e-6, 1500.0 * 2e-6])
    assert paid((0.0, 0.0, 0.0)) == [0.0] * 3


def test_what_those_serve_that_must_go_is_lost_from_the_least_worth_on():
    """For an INT4 instance an FP8 one goes, of which 500 tokens/s are the class of least worth."""
    [_, _, int4] = paid((5000.0, 500.0, 0.0))
    assert int4 == pytest.approx(500.0 * 1e-6 + 1000.0 * 5e-6)
    [_, _, spared] = paid((4500.0, 500.0, 0.0), on=(1, 1, 2))
    assert spared == pytest.approx(500.0 * 1e-6 + 500.0 * 5e-6), "500 tokens/s more fit into those that stay"


def test_a_site_over_its_limit_moves_for_nothing():
    assert exchange_usd(site(), Exchange(ALL_WAIT), WORTH, CAPACITIES) == (0.0,) * 3


def test_the_price_lasts_while_no_interval_leaves_more_room():
    assert while_full((9e3, 9e3, 8e3, 9.5e3, 9e3)) == (True, True, True, False, False)
    assert while_full((9e3, None, 9e3)) == (True, False, False)
    assert while_full((None, 9e3)) == (False, False)


def test_what_is_on_its_way_up_is_kept_its_power_at_the_upper_end_of_its_doubt():
    fleet = FakeFleet(site(), {})
    fleet.engines[0].state = InstanceState.SLEEPING
    intents = (Intent(fleet.engines[0].instance_id, Phase.WAKE, 990.0, commanded_s=990.0),)
    views = look(fleet.site, intents, fleet.observe(), stale_s=15.0, retry_s=30.0)
    curves = fleet.site.pools[0].curves
    assert coming_up_w(fleet.site, views, ()) == pytest.approx(fleet.site.pue * (curves.p0_w - curves.off_w))
    doubted = coming_up_w(fleet.site, views, (50.0, 0.0, 0.0))
    assert doubted == pytest.approx(fleet.site.pue * (curves.p0_w + 50.0 - curves.off_w))
    still = look(fleet.site, (), FakeFleet(site(), {}).observe(), stale_s=15.0, retry_s=30.0)
    assert coming_up_w(fleet.site, still, ()) == 0.0


def test_room_is_made_by_fewer_tokens_and_no_further_than_they_go():
    data = at_site(problem(), limit_w=(6000.0,) * problem().horizon.steps)
    serving = tuple(pool.on_now for pool in data.pools)
    [least_w] = least_power_w(first_interval(data, serving))
    made = with_room_for(data, 100.0, serving).sites[0]
    assert made.limit_w == (5900.0, *data.sites[0].limit_w[1:])
    assert with_room_for(data, 1e6, serving).sites[0].limit_w[0] == pytest.approx(least_w)
    assert with_room_for(data, 0.0, serving) is data
    below = at_site(problem(), limit_w=(0.5 * least_w, None, None))
    assert with_room_for(below, 100.0, serving).sites[0].limit_w[0] == 0.5 * least_w
    free = at_site(problem(), limit_w=(None,) * problem().horizon.steps)
    assert with_room_for(free, 100.0, serving) == free


def test_what_is_held_makes_no_room():
    served = Exchange(ALL_WAIT, (1e4, 0.0, 1e4), (1, 1, 2))
    free = exchange_usd(site(), served, WORTH, CAPACITIES)
    held = exchange_usd(with_modes(site(), fp8=Mode.OBSERVE), served, WORTH, CAPACITIES)
    assert held[0] < free[0]
