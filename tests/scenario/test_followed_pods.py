"""Pods that an autoscaler takes away, played by `tick.decide` under a virtual clock; it follows what is told, late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.model.fleet import Pool, Site, resting_awake
from controller.model.grid import GridEvent
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.tick import Decision, decide
from tests.fakes.fake_fleet import site
from tests.fakes.pod_fleet import FollowedFleet, discovered
from tests.fakes.pool_modes import with_modes

ACT = TickPolicy(mode=Mode.ACT)
BUSY = {"premium": 6.0, "standard": 40.0, "flex": 10.0}
NEVER = 1e9


def released(pool: Pool) -> Pool:
    """The pool where its engines cannot sleep and an autoscaler takes its pods."""
    return replace(resting_awake(pool), lets_go=True)


CONFIGURED = replace(discovered(site()), pools=tuple(released(pool) for pool in discovered(site()).pools))


class Run:
    """A fleet of pods under control, from tick to tick."""

    def __init__(self, rps: dict[str, float], on: int, late_s: float, configured: Site = CONFIGURED) -> None:
        self.configured = configured
        self.fleet = FollowedFleet(site(), dict(rps), on, late_s)
        self.memory = Memory.initial(configured, self.fleet.now_s)
        self.planner = CvxpyPlanner(lambda: 0.0)
        self.decisions: list[Decision] = []
        self.fleet.advance(10.0)

    def play(self, seconds: float, tick_s: float = 10.0, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, with a decision every tick."""
        for _ in range(round(seconds / tick_s)):
            decision = decide(self.configured, ACT, self.planner, self.memory, self.fleet.observe())
            self.memory = decision.memory
            self.decisions.append(decision)
            self.fleet.obey(decision)
            if until():
                return
            self.fleet.advance(tick_s)

    def is_whole(self) -> bool:
        """Whether no request was lost, and no pod taken that was not let go."""
        fleet = self.fleet
        return not (fleet.misrouted or fleet.unrouted or sum(engine.lost for engine in fleet.gone))


def called(run: Run, share: float, length_s: float = 1200.0) -> float:
    """Call for a share of what is drawn, from a minute on; returns the limit."""
    now_s, limit_w = run.fleet.now_s, share * run.fleet.power_w
    run.fleet.events = (GridEvent("e", limit_w, now_s + 60.0, now_s + 60.0 + length_s, now_s, 60.0),)
    return limit_w


@pytest.mark.parametrize("late_s", [0.0, 120.0])
def test_a_fleet_that_is_curtailed_loses_drained_pods_and_no_request(late_s: float) -> None:
    run = Run(BUSY, on=4, late_s=late_s)
    run.play(120.0)
    held, began_s, limit_w = len(run.fleet.engines), run.fleet.now_s, called(run, 0.75)
    run.play(900.0)
    assert len(run.fleet.engines) < held
    assert all(engine.instance_id in run.fleet.let_go or not engine.left for engine in run.fleet.gone)
    drawn = [watts for at_s, watts in run.fleet.watts if began_s + 150.0 < at_s]
    assert max(sum(drawn[n : n + 10]) / 10 for n in range(0, len(drawn) - 10, 10)) <= limit_w
    assert run.is_whole()


def test_never_are_fewer_told_than_there_are_but_for_those_that_are_let_go() -> None:
    run = Run(BUSY, on=4, late_s=0.0)
    for _ in range(60):
        run.play(10.0)
        run.fleet.rps = {name: rps * 0.97 for name, rps in run.fleet.rps.items()}
        for pool_id, replicas in run.decisions[-1].replicas:
            resting = sum(engine.instance_id in run.fleet.let_go for engine in run.fleet.of(pool_id))
            assert replicas >= len(run.fleet.of(pool_id)) - resting
    assert run.fleet.gone
    assert run.is_whole()


def test_a_pod_that_is_kept_draws_what_it_does_and_serves_again_without_a_start() -> None:
    run = Run(BUSY, on=4, late_s=NEVER)
    run.play(120.0)
    held = {engine.instance_id for engine in run.fleet.engines}
    run.fleet.rps = {name: rps / 8 for name, rps in BUSY.items()}
    run.play(600.0)
    kept = set(run.fleet.let_go)
    assert kept
    told = run.decisions[-1].diagnostics
    assert told.modelled_w == pytest.approx(run.fleet.power_w, rel=0.1)
    assert told.planned_w == pytest.approx(run.fleet.power_w, rel=0.15)
    before = {engine.instance_id: engine.generation_tokens for engine in run.fleet.engines}
    run.fleet.rps = dict(BUSY)
    run.play(120.0)
    used = [engine for engine in run.fleet.engines if engine.instance_id in kept]
    assert any(engine.generation_tokens > before[engine.instance_id] for engine in used)
    assert held <= {engine.instance_id for engine in run.fleet.engines}
    assert run.is_whole()


def test_what_is_taken_back_is_told_with_the_table_that_says_so() -> None:
    run = Run(BUSY, on=4, late_s=NEVER)
    run.play(120.0)
    run.fleet.rps = {name: rps / 8 for name, rps in BUSY.items()}
    run.play(600.0)
    few = dict(run.decisions[-1].replicas)
    run.fleet.rps = dict(BUSY)
    run.play(300.0, until=lambda: bool(run.fleet.taken_back))
    [name, *_] = run.fleet.taken_back
    pool_id = next(engine.pool.pool_id for engine in run.fleet.engines if engine.instance_id == name)
    assert dict(run.decisions[-1].replicas)[pool_id] > few[pool_id]


def test_one_that_is_taken_just_then_is_a_place_and_another_comes() -> None:
    run = Run(BUSY, on=4, late_s=NEVER)
    run.play(120.0)
    run.fleet.rps = {name: rps / 8 for name, rps in BUSY.items()}
    run.play(600.0)
    run.fleet.engines = [engine for engine in run.fleet.engines if engine.instance_id not in run.fleet.let_go]
    few = len(run.fleet.engines)
    run.fleet.rps = dict(BUSY)
    run.play(600.0)
    assert len(run.fleet.engines) > few
    assert run.is_whole()


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_who_does_not_act_tells_no_fewer_than_there_are_and_who_stands_by_what_the_leader_tells(mode: Mode) -> None:
    run = Run(BUSY, on=4, late_s=NEVER)
    run.play(120.0)
    run.fleet.rps = {name: rps / 8 for name, rps in BUSY.items()}
    run.play(600.0)
    awake = replace(run.fleet.observe(), instances=super(FollowedFleet, run.fleet).observe().instances)
    passive = TickPolicy(mode=mode)
    stands_by = decide(run.configured, passive, run.planner, run.memory, awake)
    assert stands_by.replicas == run.decisions[-1].replicas
    alone = decide(run.configured, passive, run.planner, Memory.initial(run.configured, awake.now_s), awake)
    assert alone.replicas
    assert all(count >= len(run.fleet.of(pool_id)) for pool_id, count in alone.replicas)
    assert sum(count for _, count in alone.replicas) > sum(count for _, count in stands_by.replicas)
    assert not alone.commands.instances


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_of_a_pool_that_is_not_acted_upon_none_is_let_go_and_as_many_are_told_as_there_are(mode: Mode) -> None:
    run = Run(BUSY, on=4, late_s=NEVER, configured=with_modes(CONFIGURED, fp8=mode))
    run.play(120.0)
    run.fleet.rps = {name: rps / 8 for name, rps in BUSY.items()}
    run.play(600.0)
    held = {engine.instance_id for engine in run.fleet.of("fp8")}
    assert run.fleet.let_go
    assert not held & set(run.fleet.let_go)
    assert not held & set(run.decisions[-1].commands.table.draining)
    assert {dict(decision.replicas)["fp8"] for decision in run.decisions} == {len(held)}
    assert run.is_whole()
