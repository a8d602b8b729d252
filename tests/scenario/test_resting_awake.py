"""Engines that cannot sleep: those that a limit has no room for are drained and idle, and nobody is refused."""

from __future__ import annotations

import pytest

from tests.bench import levers


@pytest.mark.parametrize("asked_frac", [0.1, 0.3])
def test_a_cut_is_kept_by_drained_instances_alone_and_no_request_is_lost(asked_frac: float) -> None:
    site = levers.fleets()["engines that cannot sleep"]
    before_w = levers.before_w(site)
    outcome = levers.played(site, (levers.event_of(asked_frac, before_w),))
    ramped_s = levers.BEGINS_S + 30
    means = [
        levers.mean(outcome.power_w, second, second + levers.WINDOW_S)
        for second in range(ramped_s, levers.BEGINS_S + levers.LASTS_S - levers.WINDOW_S)
    ]
    assert max(means) <= before_w * (1 - asked_frac)
    assert outcome.requests_finished == outcome.requests
    assert outcome.tokens_lost == 0
