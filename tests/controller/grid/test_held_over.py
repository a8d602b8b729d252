import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from controller.grid.held_over import held_over
from controller.model.grid import FOREVER_S, GridEvent

FIRST = GridEvent("c#0", 5000.0, 1000.0, 1600.0, 900.0, ramp_s=30.0, settlement_interval_s=300.0, baseline_w=9000.0)


def test_a_limit_is_held_after_its_end_without_being_settled():
    (held,) = held_over((FIRST,), 45.0)
    assert (held.start_s, held.end_s, held.limit_w, held.baseline_w) == (1600.0, 1645.0, 5000.0, 9000.0)
    assert (held.is_held_over, held.settlement_interval_s, held.event_id) == (True, None, "c#0#held")
    assert held_over((FIRST,), 0.0) == ()


def test_it_ends_as_the_next_interval_begins():
    second = dataclasses.replace(FIRST, event_id="c#1", start_s=1620.0, end_s=1700.0)
    assert [(e.start_s, e.end_s) for e in held_over((FIRST, second), 45.0)] == [(1600.0, 1620.0), (1700.0, 1745.0)]
    touching = dataclasses.replace(second, start_s=1600.0)
    assert [e.start_s for e in held_over((FIRST, touching), 45.0)] == [1700.0]


def test_what_never_began_or_never_ends_is_not_held():
    assert (
        held_over((dataclasses.replace(FIRST, end_s=1000.0), dataclasses.replace(FIRST, end_s=FOREVER_S)), 45.0) == ()
    )


@given(st.lists(st.tuples(st.floats(1, 500), st.floats(0, 500)), max_size=6), st.floats(0, 3600))
def test_it_never_reaches_into_another_interval(lengths, by_s):
    events, at_s = [], 1000.0
    for number, (length_s, gap_s) in enumerate(lengths):
        events.append(dataclasses.replace(FIRST, event_id=f"c#{number}", start_s=at_s, end_s=at_s + length_s))
        at_s += length_s + gap_s
    for held in held_over(tuple(events), by_s):
        assert 0.0 < held.end_s - held.start_s <= by_s + 1e-9
        assert all(held.end_s <= event.start_s or event.end_s <= held.start_s for event in events)
