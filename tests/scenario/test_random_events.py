"""A few random short calls on random simulated fleets, under the controller's own tick: what is promised of each."""

from __future__ import annotations

import pytest

from controller.study.events.floor import Verdict
from tests.fakes.event_parts import figures

pytestmark = pytest.mark.timeout(300)
NUMBERS = (1, 2, 4, 5)


@pytest.mark.parametrize("number", NUMBERS)
def test_no_running_request_is_cut_off(number: int) -> None:
    assert figures(number).lost_tokens == 0.0


@pytest.mark.parametrize("number", NUMBERS)
def test_a_limit_within_reach_is_kept_and_costs_the_classes_above_flex_nothing(number: int) -> None:
    found = figures(number)
    if found.verdict != Verdict.WITHIN.value:
        pytest.skip(f"event {number} is {found.verdict}")
    assert found.over == 0
    assert found.performance_min is None or found.performance_min >= 1.0
    assert found.dropped_tokens == 0.0


def test_the_events_looked_at_are_not_all_beyond_the_fleets() -> None:
    assert any(figures(number).verdict == Verdict.WITHIN.value for number in NUMBERS)
