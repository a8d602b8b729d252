from controller.evidence.account import Settled
from controller.report.part_names import part_bands, part_names
from tests.fakes.played_event import LENGTH_S, START_S, event


def part(event_id, start_s=START_S, end_s=START_S + LENGTH_S):
    return Settled(event(event_id=event_id, start_s=start_s, end_s=end_s), None, end_s)


def test_an_event_has_its_own_name_and_parts_of_one_have_their_times():
    assert part_names([part("openadr:vtn/evening#0")]) == ("evening",)
    parts = [
        part("openadr:vtn/evening#0 until 2026-09-21T14:18:20Z", end_s=START_S + 300.0),
        part("openadr:vtn/evening#0", START_S + 300.0),
    ]
    assert part_names(parts) == ("evening, 14:13:20 to 14:18:20", "evening, 14:18:20 to 14:23:20")
    assert part_names([]) == ()


def test_parts_of_several_days_have_their_dates():
    parts = [part("evening#0"), part("evening#1", START_S + 86_400.0, START_S + 86_400.0 + LENGTH_S)]
    assert part_names(parts) == (
        "evening, 2026-09-21 14:13:20 to 2026-09-21 14:23:20",
        "evening, 2026-09-22 14:13:20 to 2026-09-22 14:23:20",
    )


def test_parts_that_have_begun_are_told_in_minutes():
    begun, coming = part("evening#0", end_s=START_S + 300.0), Settled(event(event_id="evening#1"), None, START_S)
    assert part_bands([begun, coming], START_S - 60.0) == ((1.0, 6.0, "evening, 14:13:20 to 14:18:20"),)
