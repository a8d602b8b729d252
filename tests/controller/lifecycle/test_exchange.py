"""Instances that take each other's place under a limit: what that takes, and what room they are kept."""

import pytest

from controller.lifecycle.exchange import NO_EXCHANGE, Exchange, coming_up_w, exchange_of, exchange_usd, with_room_for
from controller.lifecycle.memory import Intent, Phase
from controller.lifecycle.policy import TickPolicy
from controller.lifecycle.views import look
from controller.model.observation import InstanceState
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.optimizer.dispatch import first_interval
from controller.optimizer.outcome import least_power_w
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.problems import at_site, problem

POLICY = TickPolicy(drain_expected_s=20.0)


def planned():
    """A plan that serves its class."""
    return CvxpyPlanner(lambda: 0.0).plan(problem(), time_limit_s=5.0)


@pytest.mark.parametrize(("most_w", "drawn_w"), [(None, 9e3), (50e3, 9e3)], ids=["no limit", "room for one more"])
def test_where_both_fit_nothing_waits(most_w, drawn_w):
    assert exchange_of(site(), POLICY, planned(), 0.0, most_w=most_w, drawn_w=drawn_w) == NO_EXCHANGE


def test_what_comes_waits_for_what_goes_and_only_a_site_within_its_limit_pays_for_moves():
    settled = exchange_of(site(), POLICY, planned(), 0.0, most_w=9e3, drawn_w=8.9e3)
    assert (settled.waits_s, settled.served) == (20.0, (True,))
    assert exchange_of(site(), POLICY, planned(), 0.0, most_w=9e3, drawn_w=9.1e3) == Exchange(20.0)
    assert exchange_of(site(), POLICY, None, 0.0, most_w=9e3, drawn_w=8.9e3) == Exchange(20.0)


def test_a_move_costs_what_the_cheapest_class_that_is_served_would_lose():
    pools = site().pools
    capacities = [1000.0] * len(pools)
    paid = exchange_usd(site(), Exchange(20.0, (True, False, True)), (5e-6, 1e-6, 2e-6), capacities)
    assert paid == pytest.approx([(20.0 + pool.curves.wake_s) * 1000.0 * 2e-6 for pool in pools])
    assert set(exchange_usd(site(), Exchange(20.0), (5e-6,) * 3, capacities)) == {0.0}
    assert set(exchange_usd(site(), Exchange(20.0, (False,) * 3), (5e-6,) * 3, capacities)) == {0.0}


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
