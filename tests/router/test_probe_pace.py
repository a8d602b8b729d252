"""When an engine is asked next, and whose word on it counts."""

from __future__ import annotations

import pytest

from router.contract_loads import EngineState
from router.probe_pace import MAX_INTERVAL_S, Pace
from router.settings import HealthSettings

SERVING, SLEEPING, AWAY = EngineState.SERVING, EngineState.SLEEPING, EngineState.AWAY
INTERVAL_S = 2.0


def pace(*found: EngineState | None, told: EngineState | None = SERVING) -> Pace:
    """One that has looked each second from 1 on."""
    some = Pace(HealthSettings(probe_interval_s=INTERVAL_S, eject_after=3, recover_after=2))
    for number, state in enumerate(found, 1):
        some.found(state, float(number), 1.0)
    some.hear(told)
    return some


def test_without_a_controller_it_is_the_routers_own() -> None:
    assert pace(SERVING, SERVING, SERVING, told=None).due_s(200) == 3.0 + INTERVAL_S


def test_the_first_look_is_due_at_once() -> None:
    assert pace().due_s(200) < 0


@pytest.mark.parametrize("state", [SERVING, SLEEPING, AWAY])
def test_where_both_say_the_same_looks_are_divided_among_the_routers(state: EngineState) -> None:
    some = pace(state, state, state, told=state)
    assert some.agrees
    assert some.due_s(10) == 3.0 + 10 * INTERVAL_S


def test_a_router_that_is_alone_looks_as_ever() -> None:
    some = pace(SERVING, SERVING, SERVING)
    assert some.due_s(1) == some.due_s(0) == 3.0 + INTERVAL_S


def test_looks_are_not_put_off_for_ever() -> None:
    assert pace(SERVING, SERVING, SERVING).due_s(4096) == 3.0 + MAX_INTERVAL_S


def test_an_interval_longer_than_the_bound_stays() -> None:
    some = Pace(HealthSettings(probe_interval_s=600.0, probe_timeout_s=1.0))
    for now_s in (1.0, 2.0, 3.0):
        some.found(SERVING, now_s, 1.0)
    some.hear(SERVING)
    assert some.due_s(5) == 603.0


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((SERVING, SERVING), SERVING),
        ((SERVING, SERVING, SERVING), AWAY),
        ((AWAY, AWAY, AWAY), SERVING),
        ((SLEEPING, SLEEPING, SLEEPING), SERVING),
        ((AWAY, SERVING, SERVING), SERVING),
        ((None, None, None), SERVING),
    ],
    ids=["too few looks", "called away", "called well", "called awake", "was away", "tells no load"],
)
def test_where_they_do_not_agree_it_is_the_routers_own(
    found: tuple[EngineState | None, ...], told: EngineState
) -> None:
    some = pace(*found, told=told)
    assert not some.agrees
    assert some.due_s(200) == len(found) + INTERVAL_S


def test_another_word_of_the_controller_is_looked_into_at_once() -> None:
    some = pace(SERVING, SERVING, SERVING)
    assert some.hear(AWAY)
    assert some.due_s(200) == 3.0 + INTERVAL_S  # long past at the time
    assert not some.hear(AWAY)


def test_after_a_failed_request_it_looks_at_its_own_pace_until_it_is_sure() -> None:
    some = pace(SERVING, SERVING, SERVING)
    some.doubt()
    assert some.due_s(200) == 3.0 + INTERVAL_S
    for now_s, due_s in ((10.0, 12.0), (12.0, 14.0), (14.0, 14.0 + MAX_INTERVAL_S)):
        some.found(SERVING, now_s, 1.0)
        assert some.due_s(200) == due_s


def test_many_that_hear_no_more_do_not_look_at_one_moment() -> None:
    some = pace(SERVING, SERVING, SERVING)
    assert some.hear(None, not_before_s=101.0)
    assert some.due_s(200) == 101.0
    some.doubt()
    assert some.due_s(200) == 3.0 + INTERVAL_S


def test_the_spread_is_of_the_interval() -> None:
    some = pace(SERVING, SERVING)
    some.found(SERVING, 3.0, 1.1)
    assert some.due_s(1) == pytest.approx(3.0 + 1.1 * INTERVAL_S)
    assert some.due_s(10) == pytest.approx(3.0 + 1.5 * 10 * INTERVAL_S)
    some.found(SERVING, 4.0, 0.9)
    assert some.due_s(10) == pytest.approx(4.0 + 0.5 * 10 * INTERVAL_S)
