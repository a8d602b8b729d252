from dataclasses import replace

from controller.lifecycle.targets import Targets, as_found
from controller.lifecycle.views import look, natural_intent
from controller.model.mode import Mode
from controller.model.observation import InstanceState
from tests.fakes.fake_fleet import FakeFleet, site
from tests.fakes.pool_modes import with_modes

WANTED = Targets((1, 2, 3), (1, 5, 5))


def held(mode, name="bf16"):
    return with_modes(site(), **{name: mode})


def found(of, **states):
    fleet = FakeFleet(of, {})
    for engine in fleet.engines:
        engine.state = states.get(engine.instance_id.replace("-", "_"), InstanceState.SERVING)
    seen = look(of, (), fleet.observe(), stale_s=15.0, retry_s=30.0)
    return as_found(of, tuple(replace(view, intent=natural_intent(view, fleet.now_s)) for view in seen))


def test_what_serves_and_what_is_loaded_is_counted():
    states = {"bf16_0": InstanceState.SLEEPING, "fp8_0": InstanceState.OFF, "int4_0": InstanceState.UNREACHABLE}
    assert found(site(), **states) == Targets((3, 4, 4), (4, 4, 4))


def test_what_is_on_its_way_counts_where_the_controller_has_sent_for_it():
    states = {"bf16_0": InstanceState.WAKING, "fp8_0": InstanceState.STARTING}
    assert found(site(), **states).on == (4, 5, 5)
    assert found(held(Mode.OBSERVE), **states) == Targets((3, 5, 5), (4, 5, 5))


def test_of_a_pool_that_was_not_foreseen_is_wanted_what_is_found():
    assert WANTED.but_left(site(), Targets((4, 5, 5), (4, 5, 5)), {1}) == Targets((1, 5, 3), (1, 5, 5))


def test_of_a_pool_that_is_held_is_wanted_what_is_found():
    there = Targets((4, 5, 5), (4, 5, 5))
    assert WANTED.but_left(site(), there) == WANTED
    for mode in (Mode.OBSERVE, Mode.RECOMMEND):
        assert WANTED.but_left(held(mode), there) == Targets((4, 2, 3), (4, 5, 5))
        assert WANTED.but_left(held(mode, "int4"), there) == Targets((1, 2, 5), (1, 5, 5))
