"""Instances that are pods, played by `tick.decide` under a virtual clock: names come and go, the plan goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.lifecycle.roster import PLACE
from controller.model.fleet import Site
from controller.model.grid import GridEvent
from controller.model.observation import InstanceState
from controller.model.plan import Verb
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import Decision, decide
from tests.fakes.fake_fleet import site
from tests.fakes.pod_fleet import PodFleet, discovered
from tests.fakes.pool_modes import with_modes

ACT = TickPolicy(mode=Mode.ACT)
CONFIGURED = discovered(site())


AWAKE = replace(CONFIGURED, pools=tuple(replace(pool, can_sleep=False, may_stop=True) for pool in CONFIGURED.pools))
"""The same where engines cannot sleep."""


class Run:
    """A fleet of pods under control, from tick to tick."""

    def __init__(self, rps: dict[str, float], on: int, configured: Site = CONFIGURED) -> None:
        self.configured = configured
        self.fleet = PodFleet(site(), rps, on)
        self.memory = Memory.initial(configured, self.fleet.now_s)
        self.planner = CvxpyPlanner(lambda: 0.0)
        self.decisions: list[Decision] = []
        self.fleet.advance(10.0)

    def play(self, seconds: float, tick_s: float = 10.0) -> None:
        """Let time pass, with a decision every tick."""
        for _ in range(round(seconds / tick_s)):
            decision = decide(self.configured, ACT, self.planner, self.memory, self.fleet.observe())
            self.memory = decision.memory
            self.decisions.append(decision)
            self.fleet.obey(decision)
            self.fleet.advance(tick_s)


def test_load_starts_pods_and_they_are_used_by_their_own_names() -> None:
    run = Run({"premium": 2.0, "standard": 4.0, "flex": 1.0}, on=1)
    run.play(60.0)
    began = {engine.instance_id for engine in run.fleet.engines}
    run.fleet.rps = {"premium": 10.0, "standard": 60.0, "flex": 20.0}
    run.play(600.0)
    made = [engine for engine in run.fleet.engines if engine.instance_id not in began]
    assert made
    assert all(engine.state is InstanceState.SERVING and engine.generation_tokens > 0 for engine in made)
    table = run.decisions[-1].commands.table
    assert {cap.instance_id for cap in table.caps} <= {engine.instance_id for engine in run.fleet.engines}
    assert not run.fleet.misrouted
    assert not run.fleet.unrouted


def test_a_start_whose_pod_came_is_not_commanded_again() -> None:
    run = Run({"premium": 2.0, "standard": 4.0, "flex": 1.0}, on=1)
    run.play(60.0)
    run.fleet.rps = {"premium": 3.0, "standard": 12.0, "flex": 2.0}
    run.play(400.0)
    asked = [c.instance_id for d in run.decisions for c in d.commands.instances if PLACE in c.instance_id]
    assert asked
    assert len(asked) == len(set(asked))


def test_pods_that_are_replaced_by_others_leave_nothing_behind() -> None:
    run = Run({"premium": 2.0, "standard": 4.0, "flex": 1.0}, on=2)
    run.play(60.0)
    for engine in run.fleet.engines:
        engine.instance_id = type(engine.instance_id)(f"{engine.instance_id}-new")
    run.play(60.0)
    there = {engine.instance_id for engine in run.fleet.engines}
    assert there <= {intent.instance_id for intent in run.memory.intents}
    assert {i.instance_id for i in run.memory.intents if PLACE not in i.instance_id} == there
    assert {count.instance_id for count in run.memory.tokens if PLACE not in count.instance_id} == there
    assert run.decisions[-1].publish


def test_pods_taken_away_under_way_are_not_counted_on() -> None:
    run = Run({"premium": 10.0, "standard": 60.0, "flex": 20.0}, on=4)
    run.play(60.0)
    gone = [engine for engine in run.fleet.engines if engine.pool.pool_id == "int4"]
    run.fleet.engines = [engine for engine in run.fleet.engines if engine not in gone]
    run.play(20.0)
    weights = run.decisions[-1].commands.table.weights
    assert all(each.pool_id != "int4" for cls in weights for each in cls.pools if each.weight > 0)
    assert run.decisions[-1].diagnostics.pools[2].serving == 0


def test_engines_that_cannot_sleep_are_drained_and_stopped_and_nothing_is_lost() -> None:
    run = Run({"premium": 4.0, "standard": 20.0, "flex": 5.0}, on=4, configured=AWAKE)
    run.play(400.0)
    verbs = {command.verb for decision in run.decisions for command in decision.commands.instances}
    assert verbs == {Verb.STOP}
    assert run.fleet.gone
    assert sum(engine.lost for engine in run.fleet.gone) == 0
    assert not run.fleet.misrouted
    assert run.decisions[-1].diagnostics.pools[0].sleeping == 0


def test_a_limit_takes_pods_away_and_they_come_back_after_it() -> None:
    run = Run({"premium": 6.0, "standard": 40.0, "flex": 10.0}, on=4, configured=AWAKE)
    run.play(300.0)
    before_w, now_s, held = run.fleet.power_w, run.fleet.now_s, len(run.fleet.engines)
    run.fleet.events = (GridEvent("e", 0.75 * before_w, now_s + 60.0, now_s + 660.0, now_s, 60.0),)
    run.play(660.0)
    after = [watts for at_s, watts in run.fleet.watts if now_s + 150.0 < at_s < now_s + 650.0]
    assert max(sum(after[n : n + 10]) / 10 for n in range(0, len(after) - 10, 10)) <= 0.75 * before_w
    assert len(run.fleet.engines) < held
    run.play(900.0)
    assert len(run.fleet.engines) >= held - 1
    assert sum(engine.lost for engine in run.fleet.gone) == 0


def test_a_stop_without_effect_is_given_again() -> None:
    run = Run({"premium": 4.0, "standard": 20.0, "flex": 5.0}, on=4, configured=AWAKE)
    obey, deaf = run.fleet.obey, [True]

    def refuse(decision: Decision) -> None:
        kept = tuple(c for c in decision.commands.instances if not deaf or c.verb is not Verb.STOP)
        obey(replace(decision, commands=replace(decision.commands, instances=kept)))

    run.fleet.obey = refuse  # type: ignore[method-assign]
    run.play(300.0)
    asked = [c.instance_id for d in run.decisions for c in d.commands.instances if c.verb is Verb.STOP]
    assert asked
    assert max(asked.count(name) for name in asked) >= 2
    assert run.fleet.misrouted == 0
    deaf.clear()
    run.play(120.0)
    assert run.fleet.gone


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
@pytest.mark.parametrize("configured", [CONFIGURED, AWAKE])
def test_pods_of_a_pool_that_is_not_acted_upon_are_for_others_to_make_and_take(configured: Site, mode: Mode) -> None:
    run = Run({"premium": 2.0, "standard": 4.0, "flex": 1.0}, on=2, configured=with_modes(configured, fp8=mode))
    run.play(60.0)
    run.fleet.rps = {"premium": 10.0, "standard": 60.0, "flex": 20.0}
    run.play(300.0)
    assert dict(run.decisions[-1].replicas)["fp8"] == 2
    steps = [step.verb for step in run.decisions[-1].recommended if step.instance_id.startswith(f"fp8{PLACE}")]
    assert bool(steps) is (mode is Mode.RECOMMEND)
    gone = next(engine for engine in run.fleet.engines if engine.pool.pool_id == "fp8")
    run.fleet.engines.remove(gone)
    run.play(10.0)
    run.fleet.rps = {"premium": 1.0, "standard": 2.0, "flex": 1.0}
    run.play(400.0)
    commands = [command for decision in run.decisions for command in decision.commands.instances]
    assert commands
    assert not [command for command in commands if command.instance_id.startswith("fp8")]
    assert dict(run.decisions[-1].replicas)["fp8"] == 1
