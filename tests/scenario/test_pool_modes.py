"""A controller that acts on some pools and leaves others as they are, on a simulated site under a limit."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest

from controller.model.mode import Mode
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from tests.fakes.called_fleet import CalledFleet, told, waiting_flex
from tests.fakes.fake_fleet import site
from tests.fakes.pool_modes import with_modes

HELD = [Mode.OBSERVE, Mode.RECOMMEND]


class Watched(CalledFleet):
    """Keeps what was decided."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.decisions = []

    def run(self, seconds, tick_s=2.0):
        for _ in range(round(seconds / tick_s)):
            super().run(tick_s, tick_s)
            self.decisions.append(self.last)
        return self

    def named(self, pool_id):
        """Verbs of the commands that name an instance of a pool."""
        told = [command for decision in self.decisions for command in decision.commands.instances]
        return {command.verb for command in told if command.instance_id.startswith(pool_id)}

    def states(self, pool_id):
        return [engine.state for engine in self.fleet.engines if engine.pool.pool_id == pool_id]


@cache
def settled(mode: Mode) -> Watched:
    """A site whose FP8 pool is left as it is, a minute and a half after the start."""
    return Watched(with_modes(waiting_flex(site()), fp8=mode)).run(90)


def settled_again(mode: Mode) -> Watched:
    return copy.deepcopy(settled(mode))


@pytest.mark.parametrize("mode", HELD)
def test_what_is_left_as_it_is_serves_on_and_is_planned_as_it_is(mode):
    loop = settled(mode)
    assert loop.named("fp8") == set()
    assert loop.states("fp8") == [InstanceState.SERVING] * 5
    assert {Verb.SLEEP} == loop.named("bf16")
    pools = {pool.pool_id: pool for pool in loop.last.plan.pools}
    assert (set(pools["fp8"].on), set(pools["fp8"].sleeping)) == ({5}, {0})
    assert any(weight.pool_id == "fp8" for entry in loop.last.commands.table.weights for weight in entry.pools)
    assert all(not name.startswith("fp8") for name in loop.last.commands.table.draining)
    assert all(decision.publish and not decision.diagnostics.fallbacks for decision in loop.decisions)
    assert loop.lost == 0


@pytest.mark.parametrize("mode", HELD)
def test_a_limit_is_met_by_the_pools_that_are_acted_upon(mode):
    loop = settled_again(mode)
    offer = next(o for o in told(loop.facts).offers if o.shed_w > 0.0 and not o.broken and o.cost.gives_way)
    met_s = loop.call(offer.achievable_w, offer.lead_s)
    loop.run(60)
    assert loop.mean_w(met_s) <= offer.achievable_w
    assert "limit" not in {slack.promise for slack in loop.last.diagnostics.slack}
    assert loop.named("fp8") == set()
    assert loop.lost == 0


def test_a_limit_that_only_the_others_could_meet_is_told_as_missed_and_moves_none_of_them():
    loop = settled_again(Mode.OBSERVE)
    fp8 = site().pools[1]
    loop.call(0.5 * site().pue * 5 * fp8.curves.p0_w, 30.0)
    assert "limit" in {slack.promise for slack in loop.last.diagnostics.slack}
    assert (loop.named("fp8"), loop.states("fp8")) == (set(), [InstanceState.SERVING] * 5)


def test_what_can_be_shed_does_not_count_on_them():
    least_w = site().pue * 5 * site().pools[1].curves.p0_w
    free, held = (min(o.achievable_w for o in told(settled(mode).facts).offers) for mode in (Mode.ACT, Mode.OBSERVE))
    assert held > least_w
    assert free < held - 0.5 * least_w / 5


def test_what_would_be_done_is_told_and_changes_nothing_of_what_is():
    observed, told_too = settled(Mode.OBSERVE), settled(Mode.RECOMMEND)
    steps = told_too.last.recommended
    assert {step.verb for step in steps} == {Verb.SLEEP}
    assert {step.instance_id.rpartition("-")[0] for step in steps} == {"fp8"}
    assert not any(decision.recommended for decision in observed.decisions)
    assert [each.commands for each in told_too.decisions] == [each.commands for each in observed.decisions]
    assert [each.plan for each in told_too.decisions] == [each.plan for each in observed.decisions]


def test_once_it_is_acted_upon_what_was_told_is_done():
    loop = settled_again(Mode.RECOMMEND)
    asked = len(loop.last.recommended)
    loop.fleet.site = waiting_flex(site())
    loop.run(60)
    assert loop.named("fp8") == {Verb.SLEEP}
    assert loop.states("fp8").count(InstanceState.SLEEPING) >= asked - 1
    assert loop.last.recommended == ()
    assert loop.lost == 0


@pytest.mark.parametrize("state", [InstanceState.SLEEPING, InstanceState.OFF, InstanceState.STARTING])
def test_what_others_do_to_them_is_followed_and_neither_undone_nor_waited_for(state):
    loop = settled_again(Mode.OBSERVE)
    loop.fleet.engines[4].state = state
    loop.run(2)
    planned = loop.last.plan.pools[1]
    coming = state is InstanceState.STARTING
    assert (set(planned.on), set(planned.sleeping)) == ({4 + coming}, {int(state is InstanceState.SLEEPING)})
    loop.fleet.rps = dict.fromkeys(loop.fleet.rps, 1.0)
    loop.run(120)
    assert (loop.named("fp8"), loop.states("fp8")[0]) == (set(), state)
    assert loop.states("bf16").count(InstanceState.SLEEPING) >= 3


def test_a_controller_that_only_recommends_tells_the_steps_of_both():
    loop = Watched(with_modes(waiting_flex(site()), fp8=Mode.RECOMMEND, int4=Mode.OBSERVE))
    loop.policy = replace(loop.policy, mode=Mode.RECOMMEND)
    loop.run(60)
    named = {step.instance_id.rpartition("-")[0] for step in loop.last.recommended}
    assert named == {"bf16", "fp8"}
    assert not any(decision.publish or decision.commands.instances for decision in loop.decisions)
