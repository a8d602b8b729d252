"""Engines that are not what the configuration says, under the service's own `tick.decide` and a virtual clock."""

from __future__ import annotations

from collections import deque
from functools import cache

import pytest

from controller.lifecycle.memory import Memory
from controller.lifecycle.policy import Mode, TickPolicy
from controller.optimizer.cvxpy_planner import CvxpyPlanner
from controller.simulation.site import SimulatedSite
from controller.tick import decide
from tests.bench.refit.cases import Case, Played, play, true_site
from tests.fakes import scenarios

SHORT = {"seconds": 180.0, "begins_s": 90.0}


@cache
def played(factor: float, *, refit: bool) -> Played:
    return play(Case(factor, refit, **SHORT))


def test_a_fleet_that_draws_forty_percent_more_keeps_its_limit_once_its_curves_are_learnt() -> None:
    without, learnt = played(1.4, refit=False), played(1.4, refit=True)
    assert without.over_s >= 30.0
    assert learnt.over_s == 0.0
    assert learnt.unused_frac < 0.2
    assert learnt.outcome.tokens_lost == 0


def test_a_fleet_that_draws_less_is_not_held_back_for_nothing() -> None:
    without, learnt = played(1 / 1.4, refit=False), played(1 / 1.4, refit=True)
    assert without.unused_frac > 0.25
    assert learnt.over_s == 0.0
    assert learnt.unused_frac < 0.6 * without.unused_frac
    assert learnt.outcome.tokens_served > without.outcome.tokens_served
    assert learnt.outcome.duration_s < without.outcome.duration_s


@pytest.mark.parametrize("factor", [1.4, 1 / 1.4])
def test_the_model_agrees_with_the_meter_and_the_operator_is_told(factor: float) -> None:
    assert played(factor, refit=False).model_error_frac > 0.2
    learnt = played(factor, refit=True)
    assert learnt.model_error_frac < 0.02
    assert any("pool bf16: loaded_w" in told for told in learnt.drifts)


def test_curves_that_are_right_decide_the_very_same() -> None:
    without, learnt = played(1.0, refit=False), played(1.0, refit=True)
    assert learnt.outcome.power_w == without.outcome.power_w
    assert learnt.outcome.tokens_by_pool == without.outcome.tokens_by_pool
    assert learnt.drifts == ()


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_it_learns_while_it_only_looks_on(mode: Mode) -> None:
    policy = TickPolicy(mode=mode, refit=True, slow_interval_s=600.0)
    site, start_s = scenarios.site(), scenarios.START_S
    simulated, memory, planner = (
        SimulatedSite(true_site(1.4), start_s),
        Memory.initial(site, start_s),
        CvxpyPlanner(lambda: 0.0),
    )
    signals = scenarios.mixed().signals
    coming = deque(scenarios.requests(60.0, 40.0, seed=3))
    for n in range(15):
        decision = decide(site, policy, planner, memory, simulated.observe(signals))
        memory = decision.memory
        assert not decision.publish
        while coming and coming[0].time_s < 4.0 * (n + 1):
            request = coming.popleft()
            simulated.advance(start_s + request.time_s)
            simulated.submit(request, start_s + request.time_s)
        simulated.advance(start_s + 4.0 * (n + 1))
    loaded = {refit.pool_id: figure for refit in decision.diagnostics.refits for figure in refit.figures[:1]}
    assert loaded[site.pools[0].pool_id].estimate == pytest.approx(
        1.4 * loaded[site.pools[0].pool_id].profile, rel=0.05
    )
    assert any(each.ladder == "curves" for each in decision.diagnostics.fallbacks)
