from __future__ import annotations

import dataclasses

from controller.study.events.play_part import play_part
from tests.fakes.event_parts import figures, part, short


def test_an_event_is_played_from_its_number_to_its_figures() -> None:
    found = figures(0)
    assert found.number == 0
    assert found.depth_frac == part(0).wanted.depth_frac
    assert found.intervals > 0
    assert found.actions > 0
    assert found.baseline_kw > found.idle_kw > 0


def test_it_comes_out_the_same_again() -> None:
    again = play_part(short(), 0)
    assert dataclasses.replace(again, late_plans=0) == dataclasses.replace(figures(0), late_plans=0)
