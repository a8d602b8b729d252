"""Engines that cannot sleep: those that a limit has no room for are drained and idle, and nobody is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.lifecycle.resume import resumed, saved_of
from controller.model.fleet import Site, resting_awake
from tests.bench import levers
from tests.fakes.called_fleet import CalledFleet
from tests.fakes.fake_fleet import site


@pytest.mark.parametrize("asked_frac", [0.1, 0.3])
def test_a_cut_is_kept_by_drained_instances_alone_and_no_request_is_lost(asked_frac: float) -> None:
    whole = levers.fleets()["engines that cannot sleep"]
    before_w = levers.before_w(whole)
    outcome = levers.played(whole, (levers.event_of(asked_frac, before_w),))
    ramped_s = levers.BEGINS_S + 30
    means = [
        levers.mean(outcome.power_w, second, second + levers.WINDOW_S)
        for second in range(ramped_s, levers.BEGINS_S + levers.LASTS_S - levers.WINDOW_S)
    ]
    assert max(means) <= before_w * (1 - asked_frac)
    assert outcome.requests_finished == outcome.requests
    assert outcome.tokens_lost == 0


def called(whole: Site) -> CalledFleet:
    """A fleet under a limit of four fifths of what it drew."""
    under = CalledFleet(whole, {"premium": 8.0, "standard": 28.0, "flex": 16.0}).run(120.0)
    under.call(0.8 * under.mean_w(under.fleet.now_s - 30.0), 60.0)
    return under


AWAKE = replace(site(), pools=tuple(resting_awake(pool) for pool in site().pools))


@pytest.mark.parametrize("whole", [site(), AWAKE], ids=["asleep", "awake"])
def test_a_controller_that_starts_anew_within_an_event_leaves_at_rest_what_rests(whole: Site) -> None:
    under = called(whole)
    (event,) = under.fleet.events
    assert under.fleet.table is not None
    resting = set(under.fleet.table.draining)
    assert resting
    before_s = under.fleet.now_s
    under.memory = resumed(whole, saved_of(under.memory, (), before_s), before_s)
    under.run(2.0)
    assert under.last is not None
    assert (under.last.commands.instances, set(under.last.commands.table.draining)) == ((), resting)
    under.run(60.0)
    assert max(watts for time_s, watts in under.fleet.watts if time_s > before_s) <= event.limit_w
    assert under.lost == 0
