from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.grid import GridEvent
from controller.model.observation import InstanceObservation, InstanceState, Observation, Reading, RouterObservation
from controller.model.plan import Commands, InstanceCommand, Verb
from controller.simulation.fluid import FluidSite
from controller.simulation.site import SimulatedSite
from router.contract import AllocationTable, ClassWeights, InstanceCap, InstanceId, PoolId, PoolWeight
from tests.fakes import scenarios
from tests.fakes.scenarios import PREMIUM, STANDARD

SITE = scenarios.site()
SIGNALS = scenarios.mixed(seconds=1.0).signals
START_S = scenarios.START_S


def table(sequence: int = 1, *, draining: tuple[str, ...] = (), cap: int | None = None, fp8: float = 0.5) -> Commands:
    weights = (
        ClassWeights(STANDARD, (PoolWeight(PoolId("bf16"), 1.0 - fp8), PoolWeight(PoolId("fp8"), fp8))),
        ClassWeights(PREMIUM, (PoolWeight(PoolId("bf16"), 1.0),)),
    )
    ids = [instance.instance_id for pool in SITE.pools for instance in pool.instances]
    caps = () if cap is None else tuple(InstanceCap(one, cap) for one in ids)
    gone = tuple(InstanceId(one) for one in draining)
    return Commands(AllocationTable(sequence, START_S, START_S + 1e6, "test", weights, caps, gone))


def fluid(**changes: object) -> FluidSite:
    site = FluidSite(SITE, START_S, **changes)  # type: ignore[arg-type]
    site.apply(table(), START_S)
    return site


def rates(standard: float, premium: float) -> np.ndarray:
    return np.array([[standard, 110.0 * standard, 60.0 * standard], [premium, 110.0 * premium, 60.0 * premium]])


def seen(observation: Observation, instance_id: str) -> InstanceObservation:
    return next(one for one in observation.instances if one.instance_id == instance_id)


def routed(observation: Observation) -> RouterObservation:
    assert isinstance(observation.router, RouterObservation)
    return observation.router


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 200.0),
            st.floats(0.0, 50.0),
            st.sampled_from(["none", *(verb.value for verb in Verb), "table"]),
            st.integers(0, 4),
            st.floats(0.5, 40.0),
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=60)
def test_what_is_asked_is_served_lost_or_waits_and_energy_only_grows(
    moves: list[tuple[float, float, str, int, float]],
) -> None:
    site, now_s = fluid(), START_S
    ids = [instance.instance_id for pool in SITE.pools for instance in pool.instances]
    for number, (standard, premium, move, which, seconds) in enumerate(moves, start=2):
        site.ask(rates(standard, premium))
        command = table(number, draining=(ids[which],), cap=1 + 10 * which)
        if move not in ("none", "table"):
            command = dataclasses.replace(command, instances=(InstanceCommand(Verb(move), ids[which], "test"),))
        if move != "none":
            site.apply(command, now_s)
        before_j, before = site.energy_j(), site.served.copy()
        now_s += seconds
        site.advance(now_s)
        assert site.energy_j() > before_j
        assert (site.served >= before - 1e-9).all()
    asked = site.served + site.lost + site.waiting
    assert asked == pytest.approx(site.asked, rel=1e-9, abs=1e-6)


def test_tokens_go_to_pools_by_weight_and_only_where_the_class_may() -> None:
    site = fluid()
    site.apply(table(2, fp8=0.75), START_S)
    site.ask(rates(20.0, 5.0))
    site.advance(START_S + 300.0)
    standard, premium = routed(site.observe(SIGNALS)).demand
    shares = dict(standard.output_tokens_by_pool)
    assert shares[PoolId("fp8")] / sum(shares.values()) == pytest.approx(0.75, abs=0.01)
    assert [pool_id for pool_id, _ in premium.output_tokens_by_pool] == [PoolId("bf16")]


def test_a_class_without_weights_may_use_every_pool_it_is_allowed() -> None:
    site = FluidSite(SITE, START_S)
    site.apply(Commands(AllocationTable(1, START_S, START_S + 1e6, "test", ())), START_S)
    site.ask(rates(20.0, 20.0))
    site.advance(START_S + 60.0)
    standard, premium = routed(site.observe(SIGNALS)).demand
    assert len(standard.output_tokens_by_pool) == 2
    assert len(premium.output_tokens_by_pool) == 1


def test_beyond_the_caps_requests_wait_and_what_waits_too_long_is_late() -> None:
    site = fluid()
    site.apply(table(2, cap=2), START_S)
    site.ask(rates(60.0, 5.0))
    site.advance(START_S + 60.0)
    observation = site.observe(SIGNALS)
    assert all(one.running <= 2 for one in observation.instances)
    assert routed(observation).demand[0].queued > 100
    assert site.late_tokens[STANDARD] > 0.0
    site.apply(table(3), START_S + 60.0)
    site.ask(rates(0.0, 0.0))
    site.advance(START_S + 160.0)
    assert routed(site.observe(SIGNALS)).demand[0].queued == 0
    assert site.served[:, 2].sum() == pytest.approx(site.asked[:, 2].sum(), rel=1e-3)


def test_a_draining_instance_is_seen_empty_and_can_sleep_without_loss() -> None:
    site = fluid()
    site.ask(rates(20.0, 5.0))
    site.advance(START_S + 60.0)
    site.apply(table(2, draining=("bf16-0",)), START_S + 60.0)
    site.advance(START_S + 90.0)
    observation = site.observe(SIGNALS)
    assert seen(observation, "bf16-0").running == 0
    assert dict(routed(observation).in_flight)[InstanceId("bf16-0")] == 0
    assert routed(observation).acknowledged_sequence == 2
    sleep = InstanceCommand(Verb.SLEEP, InstanceId("bf16-0"), "test")
    site.apply(dataclasses.replace(table(3, draining=("bf16-0",)), instances=(sleep,)), START_S + 90.0)
    site.advance(START_S + 100.0)
    assert seen(site.observe(SIGNALS), "bf16-0").state is InstanceState.SLEEPING
    assert site.lost.sum() == 0.0


def test_a_table_is_obeyed_after_its_delay() -> None:
    site = fluid(table_delay_s=2.0)
    site.apply(table(2), START_S)
    site.advance(START_S + 1.9)
    assert routed(site.observe(SIGNALS)).acknowledged_sequence == 1
    site.advance(START_S + 2.0)
    assert routed(site.observe(SIGNALS)).acknowledged_sequence == 2


def test_the_meter_shows_the_mean_since_the_last_reading() -> None:
    site = fluid()
    first = site.observe(SIGNALS).site_power
    idle_w = SITE.pue * sum(pool.curves.idle_w * len(pool.instances) for pool in SITE.pools)
    assert isinstance(first, Reading)
    assert first.value_w == pytest.approx(idle_w)
    site.ask(rates(20.0, 5.0))
    before_j = site.energy_j()
    site.advance(START_S + 30.0)
    power = site.observe(SIGNALS).site_power
    assert isinstance(power, Reading)
    assert power.value_w == pytest.approx((site.energy_j() - before_j) / 30.0)
    assert site.observe(SIGNALS).site_power == power
    of_instances_j = sum(site.energy_by_instance_j().values())
    assert site.energy_j() == pytest.approx(of_instances_j * SITE.pue)


def test_events_are_seen_from_their_notice_to_their_end() -> None:
    event = GridEvent("e", 1.0, START_S + 20.0, START_S + 30.0, START_S + 10.0)
    signals = dataclasses.replace(SIGNALS, events=(event,))
    site = fluid()
    told = []
    for passed_s in (5.0, 15.0, 25.0, 35.0):
        site.advance(START_S + passed_s)
        told.append(bool(site.observe(signals).events))
    assert told == [False, True, True, False]


@pytest.mark.parametrize(
    ("arrivals", "told"),
    [
        ([[-1.0, 0, 0], [0, 0, 0]], "at least 0"),
        ([[math.nan, 0, 0], [0, 0, 0]], "finite"),
        ([[1.0, 1.0, 1.0]], "are expected"),
        ([[0.0, 5.0, 5.0], [0, 0, 0]], "tokens without requests"),
    ],
)
def test_arrivals_that_make_no_sense_are_refused(arrivals: list[list[float]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fluid().ask(np.array(arrivals))


def test_a_step_takes_time() -> None:
    with pytest.raises(ValueError, match=r"step_s 0\.0"):
        fluid(step_s=0.0)


@pytest.mark.parametrize("per_s", [20.0, 60.0, 120.0])
def test_power_and_throughput_are_those_of_single_requests(per_s: float) -> None:
    """The same arrivals through the discrete-event site, at loads from a few requests an instance to nearly all."""
    seconds = 120.0
    single, flowing = SimulatedSite(SITE, START_S), FluidSite(SITE, START_S)
    requests = scenarios.requests(seconds, per_s, seed=3)
    bins = np.zeros((12, 2, 3))
    for site in (single, flowing):
        site.apply(table(), START_S)
    for request in requests:
        single.advance(START_S + request.time_s)
        single.submit(request, START_S + request.time_s)
        r = 0 if request.class_id == STANDARD else 1
        bins[int(request.time_s // 10.0), r] += (1, request.input_tokens, request.output_tokens)
    single.advance(START_S + seconds)
    for number, amounts in enumerate(bins, start=1):
        flowing.ask(amounts / 10.0)
        flowing.advance(START_S + 10.0 * number)
    made = sum(one.generation_tokens for one in single.observe(SIGNALS).instances)
    assert flowing.energy_j() == pytest.approx(single.energy_j(), rel=0.05)
    assert flowing.served[:, 2].sum() == pytest.approx(made, rel=0.05)


def test_what_waits_at_the_router_is_part_of_what_waits_and_becomes_late_there() -> None:
    site = fluid()
    site.apply(table(2, cap=1), START_S)
    site.ask(rates(20.0, 0.0))
    site.advance(START_S + 120.0)
    assert 0.0 < site.queued[0, 0] < site.waiting[0, 0]
    assert site.queued[1].tolist() == [0.0, 0.0, 0.0]
    # Nobody who waits has been served yet: what is late is late where it waits.
    held_up = fluid()
    held_up.apply(table(2, draining=tuple(one.instance_id for pool in SITE.pools for one in pool.instances)), START_S)
    held_up.advance(START_S + 1.0)
    held_up.ask(rates(20.0, 0.0))
    held_up.advance(START_S + 120.0)
    assert held_up.served.sum() == 0.0
    assert held_up.late_tokens[STANDARD] == pytest.approx(
        held_up.queued[0, 2] - 20.0 * 60.0 * SITE.classes[0].ttft_slo_s, rel=0.05
    )


def test_impatient_requests_are_refused_after_their_time_and_the_others_wait() -> None:
    site = fluid(impatient=frozenset({STANDARD}))
    site.apply(table(2, cap=1), START_S)
    site.ask(rates(50.0, 50.0))
    site.advance(START_S + 60.0)
    refused, waiting = site.refused[:, 0], site.queued[:, 0]
    assert refused[0] > 0
    assert refused[1] == 0
    assert waiting[0] < waiting[1]
    np.testing.assert_allclose(site.asked, site.served + site.lost + site.refused + site.waiting, rtol=1e-9)
    assert site.late_tokens[STANDARD] >= site.refused[0, 2]
