"""How fast a queue goes on, and what refused clients are told of it."""

from __future__ import annotations

import math

import pytest

from router.turnover import FORGET_S, LONGEST_LOOK_S, Turnover, retry_after_s
from tests.fakes.routing import NOW_S

STEP_S = 0.1


def busy(turnover: Turnover, per_s: float, for_s: float, now_s: float = NOW_S, waiting: int = 50) -> float:
    """So many places a second are given while others wait; the time at the end."""
    owed = 0.0
    for step in range(round(for_s / STEP_S) + 1):
        turnover.look(now_s + step * STEP_S, waiting)
        owed += per_s * STEP_S
        turnover.given += int(owed)
        owed -= int(owed)
    return now_s + for_s


@pytest.mark.parametrize("per_s", [0.5, 2.0, 80.0])
def test_the_rate_is_that_of_places_given_while_others_wait(per_s: float) -> None:
    turnover = Turnover()
    busy(turnover, per_s, 60)
    assert turnover.rate_per_s() == pytest.approx(per_s, rel=0.1)


def test_nothing_is_told_before_a_second_of_waiting_was_seen() -> None:
    turnover = Turnover()
    assert turnover.rate_per_s() is None
    busy(turnover, 5, 0.9)
    assert turnover.rate_per_s() is None
    busy(turnover, 5, 0.5, NOW_S + 0.9 + STEP_S)
    assert turnover.rate_per_s() is not None


def test_a_class_that_is_given_nothing_has_the_rate_zero() -> None:
    turnover = Turnover()
    busy(turnover, 0, 5)
    assert turnover.rate_per_s() == 0


def test_times_in_which_nobody_waits_make_no_queue_slow() -> None:
    turnover = Turnover()
    now_s = busy(turnover, 20, 30)
    known = turnover.rate_per_s()
    for step in range(300):
        turnover.given += step % 2
        turnover.look(now_s + step, 0)
    assert turnover.rate_per_s() == known
    turnover.look(now_s + 301, 9)
    assert turnover.rate_per_s() == known, "nobody waited when it began"


def test_a_rate_is_forgotten_when_nobody_has_waited_for_long() -> None:
    turnover = Turnover()
    now_s = busy(turnover, 20, 30)
    turnover.look(now_s + FORGET_S + 1, 0)
    assert turnover.rate_per_s() is None


def test_a_change_is_followed_within_a_minute() -> None:
    turnover = Turnover()
    now_s = busy(turnover, 50, 60)
    busy(turnover, 1, 60, now_s + STEP_S)
    assert turnover.rate_per_s() == pytest.approx(1, rel=1)


@pytest.mark.parametrize("jump_s", [-3600.0, 0.0, LONGEST_LOOK_S + 1, 1e9])
def test_a_clock_that_is_set_counts_for_nothing(jump_s: float) -> None:
    turnover = Turnover()
    now_s = busy(turnover, 20, 30)
    known = turnover.rate_per_s()
    turnover.look(now_s + jump_s, 50)
    assert turnover.rate_per_s() == known
    busy(turnover, 20, 30, now_s + jump_s + STEP_S)
    assert turnover.rate_per_s() == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize(
    ("waiting", "rate_per_s", "limit_left_s", "told_s"),
    [
        (59, 2.0, None, 30.0),
        (0, 2.0, None, 1.0),
        (0, 0.1, None, 10.0),
        (1000, 2.0, None, 60.0),
        (0, 0.0, None, 60.0),
        (5, 5e-324, None, 60.0),
        (1000, None, None, 1.0),
        (59, 2.0, 200.0, 30.0),
        (1000, 2.0, 200.0, 200.0),
        (1000, 0.0, 600.0, 600.0),
        (1000, 0.0, 0.01, 1.0),
        (1000, None, 200.0, 200.0),
        (1000, None, 0.01, 1.0),
    ],
)
def test_a_refused_client_is_told_when_the_queue_is_served_or_the_limit_ends(
    waiting: int, rate_per_s: float | None, limit_left_s: float | None, told_s: float
) -> None:
    told = retry_after_s(waiting, rate_per_s, limit_left_s, min_s=1.0, max_s=60.0)
    assert told == told_s
    assert math.isfinite(told)
