from dataclasses import replace

import pytest

from controller.lifecycle.memory import Phase
from controller.lifecycle.shed_facts import REACTION_S
from controller.model.grid import Precedence
from controller.model.mode import Mode
from tests.fakes.called_fleet import ACT, CalledFleet
from tests.fakes.fake_fleet import FP8, site
from tests.fakes.pool_modes import with_modes

FALLS_ASLEEP_S = FP8.sleep_s


def test_the_facts_of_a_tick_are_its_own():
    known = CalledFleet().run(60).facts
    assert (known.now_s, known.unknown, known.order) == (1060.0, None, Precedence.CONTRACT)
    assert known.measured_w > 5000.0
    assert len(known.serving) == 3
    assert sum(known.serving) >= 1
    assert all(each > 0.0 for each in known.present)


def test_before_a_drain_was_seen_it_takes_what_the_operator_expects():
    known = CalledFleet(policy=replace(ACT, drain_expected_s=50.0, drain_grace_s=2.0)).run(20).facts
    assert known.gone_s == (REACTION_S + 52.0 + FALLS_ASLEEP_S,) * 3


def test_drains_that_were_seen_tell_how_long_the_next_one_takes():
    loop = CalledFleet(policy=replace(ACT, drain_expected_s=50.0)).run(90)
    took_s = [took for _, took in loop.memory.drains.ended]
    assert took_s
    assert max(took_s) < 20.0
    assert loop.facts.gone_s == (REACTION_S + max(took_s) + FALLS_ASLEEP_S,) * 3


def test_a_drain_under_way_takes_as_long_as_it_has_taken():
    loop = CalledFleet().run(34)
    draining = [intent.since_s for intent in loop.memory.intents if intent.phase is Phase.DRAIN]
    assert draining
    for engine in loop.fleet.engines:
        engine.left = [1e6 for _ in engine.left]
    known = loop.run(120).facts
    assert known.gone_s[0] >= REACTION_S + known.now_s - min(draining) + FALLS_ASLEEP_S


def test_who_is_on_its_way_up_is_told_with_its_time():
    loop = CalledFleet().run(90)
    loop.fleet.rps = {name: 2.5 * each for name, each in loop.fleet.rps.items()}
    coming = []
    for _ in range(60):
        coming += [wait_s for pool in loop.run(2.0).facts.coming_s for wait_s in pool]
    assert coming
    assert all(0.0 < wait_s <= FP8.wake_s for wait_s in coming)


@pytest.mark.parametrize(("gain", "least_share", "most_share"), [(1.3, 0.95, 1.05), (0.5, 0.45, 0.55)])
def test_a_reduction_is_from_no_more_than_is_drawn_on_the_mean_and_now(gain, least_share, most_share):
    loop = CalledFleet().run(150)
    loop.fleet.meter_gain = gain
    share = loop.run(2.0).facts.measured_w / loop.fleet.power_w
    assert least_share < share < most_share


def test_nothing_goes_of_a_pool_that_is_held():
    loop = CalledFleet(with_modes(site(), fp8=Mode.OBSERVE)).run(20)
    bf16_s, fp8_s, int4_s = loop.facts.gone_s
    assert min(bf16_s, int4_s) > fp8_s == 0.0
