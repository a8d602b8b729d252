from __future__ import annotations

import numpy as np
import pytest

from controller.grid.resolve import References, resolve
from controller.model.call import Asked
from controller.study.events.calls import FORMS, Stretch, Wanted, call_of, draw_call, programme_of
from tests.fakes.event_parts import short

SETTINGS = short(length={"least_min": 5, "most_min": 600}, notice_s=[0, 600, 1800, 7200])
NOW_S = 1_700_000_000.0


def drawn() -> list[Wanted]:
    return [draw_call(np.random.default_rng(n), SETTINGS) for n in range(300)]


def test_calls_lie_within_the_bounds_and_take_every_form() -> None:
    calls = drawn()
    assert {call.form for call in calls} == set(FORMS)
    assert {len(call.stretches) for call in calls} == {1, 3}
    for call in calls:
        assert 300.0 <= call.length_s <= 36_000.0
        assert 0.0 <= call.notice_s <= 7200.0
        assert call.ramp_s <= 0.5 * call.length_s
        assert all(each.depth_frac == 0.0 or 0.05 <= each.depth_frac <= 0.40 for each in call.stretches)
    assert 0.3 < np.mean([call.notice_s in SETTINGS.notice_s for call in calls]) < 0.7


@pytest.mark.parametrize("form", FORMS)
def test_each_form_resolves_to_the_depth_it_stands_for(form: Asked) -> None:
    wanted = Wanted(form, 600.0, 60.0, 1800.0, (Stretch(0.0, 1800.0, 0.25),), restores=False)
    call = call_of(wanted, NOW_S + 600.0, NOW_S, 10_000.0)
    references = References(10_000.0, ((NOW_S + 600.0, 10_000.0),))
    (event,) = resolve(call, programme_of(wanted, SETTINGS, 20_000.0), references).events
    assert event.limit_w == pytest.approx(7500.0)
    assert (event.notice_s, event.ramp_s) == (NOW_S, 60.0)


def test_a_gap_within_a_call_asks_for_nothing() -> None:
    stretches = (Stretch(0.0, 600.0, 0.1), Stretch(600.0, 900.0, 0.0), Stretch(900.0, 1800.0, 0.3))
    wanted = Wanted(Asked.LEVEL, 0.0, 60.0, 1800.0, stretches, restores=True)
    programme = programme_of(wanted, SETTINGS, 18_000.0)
    events = resolve(call_of(wanted, NOW_S, NOW_S, 1.0), programme, References(10_000.0)).events
    assert [event.limit_w for event in events] == pytest.approx([9000.0, 7000.0])
    assert programme.restore_w_per_s == pytest.approx(20.0)
