from __future__ import annotations

import dataclasses

import pytest

from controller.model.grid import GridEvent, Series
from controller.model.observation import InstanceState, Reading, RouterObservation
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.simulation.latency import Latencies
from controller.simulation.site import Signals, SimulatedSite
from controller.simulation.site_router import Request
from router.contract import InstanceId, Precision
from tests.fakes.two_pools import ANY, CURVES, ONLY_A, SITE, A, B, pool, request, table

PRICE = Series((0.0,), (100.0,), 1e6, "usd_per_mwh", "test")
CARBON = Series((0.0,), (400.0,), 1e6, "kg_per_mwh", "test")
CALM = Signals(PRICE, CARBON)


def router_of(site: SimulatedSite) -> RouterObservation:
    router = site.observe(CALM).router
    assert isinstance(router, RouterObservation)
    return router


def command(verb: Verb, instance_id: str) -> tuple[InstanceCommand, ...]:
    return (InstanceCommand(verb, InstanceId(instance_id), "test"),)


def test_an_idle_site_draws_what_its_states_and_its_house_draw() -> None:
    site = SimulatedSite(SITE, 50.0, sleeping=frozenset({InstanceId("b-1")}))
    site.advance(60.0)
    gpus_w = 3 * CURVES.idle_w + CURVES.sleeping_w
    # A site begins with instances that have slept for long: no transition is under way.
    assert site.energy_j() == pytest.approx(10 * (1.5 * (gpus_w + 80.0) + 100.0), rel=0.02)


def test_requests_are_answered_and_their_tokens_counted_by_pool_and_class() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.apply(Commands(table()), 0.0)
    for n in range(20):
        site.submit(request(n), 0.0)
    assert site.busy
    site.advance(5.0)
    assert not site.busy
    assert site.finished == 20
    assert site.tokens_by_pool == {A: 100.0, B: 100.0}
    any_class = router_of(site).demand[0]
    assert (any_class.requests, any_class.finished, any_class.output_tokens, any_class.in_flight) == (20, 20, 200, 0)
    assert site.ttft.count == 20
    assert site.itl.count == 20 * 9
    assert (site.ttft.quantile_s(0.5) or 0) < 0.2


def test_time_to_first_token_counts_from_the_arrival() -> None:
    site = SimulatedSite(SITE, 1000.0)
    site.apply(Commands(table(draining=("a-0", "a-1", "b-0", "b-1"))), 1000.0)
    site.submit(request(1, time_s=0.0), 1000.0)
    site.advance(1004.0)
    site.apply(Commands(table(2)), 1004.0)
    site.advance(1010.0)
    assert site.ttft.quantile_s(1.0) == pytest.approx(4.5, rel=0.05)


def test_a_table_is_obeyed_and_acknowledged_after_its_delay() -> None:
    site = SimulatedSite(SITE, 0.0, table_delay_s=0.5)
    assert router_of(site).acknowledged_sequence == -1
    site.apply(Commands(table(7)), 0.0)
    assert router_of(site).acknowledged_sequence == 7
    site.apply(Commands(table(8)), 2.0)
    site.advance(2.4)
    assert router_of(site).acknowledged_sequence == 7
    site.advance(2.6)
    assert router_of(site).acknowledged_sequence == 8


def test_sleep_and_wake_change_state_and_power() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.apply(Commands(table(draining=("b-1",)), command(Verb.SLEEP, "b-1")), 0.0)
    site.advance(10.0)
    before_j = site.energy_j()
    site.advance(11.0)
    asleep_w = site.energy_j() - before_j
    assert asleep_w == pytest.approx(1.5 * (3 * 900.0 + 700.0 + 80.0) + 100.0)
    site.apply(Commands(table(2), command(Verb.WAKE, "b-1")), 11.0)
    site.advance(12.0)
    states = {i.instance_id: i.state for i in site.observe(CALM).instances}
    assert states[InstanceId("b-1")] is InstanceState.WAKING
    site.advance(15.0)
    states = {i.instance_id: i.state for i in site.observe(CALM).instances}
    assert states[InstanceId("b-1")] is InstanceState.SERVING


def test_stopping_a_busy_engine_loses_its_tokens_and_says_so() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.apply(Commands(table(a=1.0, b=0.0)), 0.0)
    site.submit(request(0, output_tokens=300), 0.0)
    site.advance(1.0)
    site.apply(Commands(table(2), command(Verb.STOP, "a-0")), 1.0)
    site.advance(60.0)
    assert site.tokens_lost == 300
    assert site.finished == 0
    assert not site.busy


def test_a_stopped_engine_is_started_and_takes_requests_again() -> None:
    lone = dataclasses.replace(SITE, pools=(pool(A, Precision.BF16, 1),))
    site = SimulatedSite(lone, 0.0)
    site.apply(Commands(table(), command(Verb.STOP, "a-0")), 0.0)
    site.submit(request(0), 0.0)
    site.apply(Commands(table(2), command(Verb.START, "a-0")), 0.0)
    site.advance(59.0)
    assert site.finished == 0
    site.advance(61.0)
    site.apply(Commands(table(3)), 61.0)
    site.advance(70.0)
    assert site.finished == 1


def test_the_meter_tells_the_mean_since_the_last_reading() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.observe(CALM)
    site.advance(1.0)
    start_j = site.energy_j()
    site.observe(CALM)
    site.apply(Commands(table()), 1.0)
    for n in range(8):
        site.submit(request(n, output_tokens=200), 1.0)
    site.advance(3.0)
    power = site.observe(CALM).site_power
    assert isinstance(power, Reading)
    assert power.value_w == pytest.approx((site.energy_j() - start_j) / 2.0)


def test_only_events_that_are_known_and_not_over_are_told() -> None:
    event = GridEvent("e", 1000.0, start_s=20.0, end_s=30.0, notice_s=10.0)
    site = SimulatedSite(SITE, 0.0)
    seen = []
    for now_s in (5.0, 12.0, 25.0, 31.0):
        site.advance(now_s)
        seen.append(site.observe(Signals(PRICE, CARBON, (event,))).events)
    assert seen == [(), (event,), (event,), ()]


def test_tokens_are_late_where_the_first_one_comes_after_the_promise() -> None:
    hurried = dataclasses.replace(SITE.classes[0], ttft_slo_s=0.001)
    for cls, late in ((SITE.classes[0], 0.0), (hurried, 20.0)):
        site = SimulatedSite(dataclasses.replace(SITE, classes=(cls, *SITE.classes[1:])), 0.0)
        site.submit(Request(0, 0.0, cls.class_id, 100, 20), 0.0)
        site.advance(60.0)
        assert site.late_tokens[cls.class_id] == late


def test_the_instances_energies_and_the_rest_of_the_site_are_what_the_meter_sees() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.advance(10.0)
    occupied = sum(pool.gpus_per_instance * len(pool.instances) for pool in SITE.pools)
    spare_w = (SITE.gpus - occupied) * SITE.spare_gpu_w
    of_instances_j = sum(site.energy_by_instance_j().values())
    assert site.energy_j() == pytest.approx(SITE.pue * (of_instances_j + 10.0 * spare_w) + 10.0 * SITE.aux_w)


def test_what_is_asked_is_served_lost_or_waits() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.apply(Commands(table(cap=2)), 0.0)
    for n in range(12):
        site.submit(request(n, class_id=ONLY_A if n % 3 == 0 else ANY, output_tokens=200), 0.0)
    # Four instances take two requests each; the others wait at the router.
    assert site.queued.sum(axis=0).tolist() == [4.0, 400.0, 800.0]
    site.advance(1.0)
    site.apply(Commands(table(2, cap=2), command(Verb.STOP, "a-0")), 1.0)
    assert site.lost.sum(axis=0).tolist() == [2.0, 200.0, 400.0]
    for now_s in (1.0, 3.0, 60.0):
        site.advance(now_s)
        assert (site.served + site.lost + site.waiting == site.asked).all()
    assert site.asked.tolist() == [[8.0, 800.0, 1600.0], [4.0, 400.0, 800.0]]
    assert site.waiting.sum() == site.queued.sum() == 0.0
    assert site.served[:, 2].sum() == sum(site.tokens_by_pool.values())


def test_latencies_may_be_counted_in_turn_in_several_places() -> None:
    site = SimulatedSite(SITE, 0.0)
    site.apply(Commands(table()), 0.0)
    site.submit(request(0), 0.0)
    site.advance(5.0)
    first, site.ttft = site.ttft, Latencies()
    site.submit(request(1, time_s=5.0), 5.0)
    site.advance(10.0)
    assert (first.count, site.ttft.count, site.itl.count) == (1, 1, 18)
