from controller.grid.easing import Easing
from controller.grid.kept import KeptCall
from controller.report.in_part import in_part_told
from tests.fakes.calls import call


def told(*easings):
    return list(in_part_told(KeptCall(call(), easings=easings), 1_790_000_000.0, 1_790_000_600.0))


def test_it_tells_since_when_down_to_what_and_why():
    first, second, how = told(
        Easing(4500.0, "a launch", 1_789_999_000.0, 1_790_000_060.0), Easing(4200.5, "less of it", 1_790_000_060.0)
    )
    assert first == (
        "FOLLOWED IN PART by the operator's choice from its start until 2026-09-21T14:14:20Z: no lower than 4.500 kW. "
        "Reason: a launch."
    )
    assert "from 2026-09-21T14:14:20Z until its end: no lower than 4.200 kW. Reason: less of it." in second
    assert "counted from what was asked for throughout" in how


def test_what_held_only_before_or_after_the_event_is_no_part_of_it():
    assert told(Easing(4500.0, "early", 1.0, 1_790_000_000.0), Easing(4500.0, "late", 1_790_000_600.0)) == []
    assert list(in_part_told(None, 0.0, 1.0)) == []
