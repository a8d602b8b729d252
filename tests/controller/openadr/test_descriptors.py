from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.openadr import descriptors
from controller.openadr.descriptors import AD_HOC_S, MAX_COVERED, MAX_DUE, Asker, Lines, due
from controller.openadr.messages import Event, Interval, IntervalPeriod, ReportDescriptor
from controller.openadr.schedule import Hearing
from controller.openadr.times import FOREVER, Duration

T0 = 1_790_000_000.0
HOUR = 3600.0


def event(count: int = 4, **fields: object) -> Event:
    intervals = tuple(Interval(n + 10, ()) for n in range(count))
    period = fields.pop("period", IntervalPeriod(T0, duration=Duration(HOUR)))
    return Event("e1", "p1", period=period, intervals=intervals, **fields)


def reports(asks: Event, now_s: float, heard_s: float = T0 - 60, **asked: object) -> list[tuple[int, float, list[int]]]:
    found = due(Asker(asks, Hearing(heard_s, now_s)), ReportDescriptor("USAGE", **asked))
    return [(each.number, (each.due_s - T0) / HOUR, [s.interval_id - 10 for s in each.stretches]) for each in found]


def test_by_default_one_report_on_all_intervals_is_due_at_the_end() -> None:
    assert reports(event(), T0 + 4 * HOUR - 1) == []
    assert reports(event(), T0 + 4 * HOUR) == [(0, 4.0, [0, 1, 2, 3])]
    assert reports(event(), T0 + 400 * HOUR) == [(0, 4.0, [0, 1, 2, 3])]


def test_the_figures_of_the_user_guide() -> None:
    late = T0 + 100 * HOUR
    assert reports(event(5), late, start_interval=1, num_intervals=3) == [(0, 4.0, [1, 2, 3])]
    periodic = reports(event(6), late, start_interval=1, num_intervals=2, frequency=2, repeat=3)
    assert periodic == [(0, 2.0, [0, 1]), (1, 4.0, [2, 3]), (2, 6.0, [4, 5])]
    rolling = reports(event(5), late, start_interval=0, num_intervals=3, frequency=1, repeat=3, historical=False)
    assert rolling == [(0, 0.0, [0, 1, 2]), (1, 1.0, [1, 2, 3]), (2, 2.0, [2, 3, 4])]
    assert reports(event(10), late, start_interval=5) == [(0, 10.0, [5, 6, 7, 8, 9])]


def test_a_forecast_is_due_when_its_intervals_begin() -> None:
    assert reports(event(), T0 - 1, historical=False) == []
    assert reports(event(), T0, historical=False) == [(0, 0.0, [0, 1, 2, 3])]


def test_repeats_without_end_stop_with_the_event() -> None:
    found = reports(event(3), T0 + 50 * HOUR, start_interval=0, num_intervals=1, frequency=1, repeat=-1)
    assert [covered for _, _, covered in found] == [[0], [1], [2]]


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("frequency", [-1, 0, 1])
@pytest.mark.parametrize(
    "over",
    [{"duration": Duration()}, {"period": IntervalPeriod(is_now=True, duration=Duration())}],
)
def test_nothing_is_due_of_an_event_that_was_cancelled(count: int, frequency: int, over: dict[str, object]) -> None:
    assert reports(event(count, **over), T0 + 10 * HOUR, frequency=frequency) == []


def test_reports_at_any_time_of_a_loop_are_numbered_on_from_day_to_day_and_end_with_it() -> None:
    endless, day = event(2, duration=FOREVER), 24 * HOUR
    numbers = [reports(endless, T0 + days * day + HOUR, frequency=0)[0][0] for days in range(6)]
    assert numbers == [round((days * day + HOUR) / AD_HOC_S) for days in range(6)]
    over = event(2, duration=Duration(5 * HOUR))
    last = (round(5 * HOUR / AD_HOC_S), 5.0, [-10])
    assert [reports(over, T0 + days * day + 6 * HOUR, frequency=0) for days in (0, 2, 20)] == [[last]] * 3


def test_implied_intervals_roll_on_without_end() -> None:
    asks = event(0)
    asked = {"start_interval": 0, "num_intervals": 3, "historical": False, "frequency": 1, "repeat": -1}
    now = due(Asker(asks, Hearing(T0, T0 + 2.5 * HOUR)), ReportDescriptor("USAGE_FORECAST", **asked))
    assert [(each.number, len(each.stretches)) for each in now] == [(0, 3), (1, 3), (2, 3)]
    assert [s.start_s for s in now[-1].stretches] == [T0 + 2 * HOUR, T0 + 3 * HOUR, T0 + 4 * HOUR]
    late = due(Asker(asks, Hearing(T0, T0 + 90_000 * HOUR)), ReportDescriptor("USAGE_FORECAST", **asked))
    assert late[-1].number == 90_000


def test_what_a_server_asks_for_is_bounded() -> None:
    asks = event(0, period=IntervalPeriod(0.0, duration=Duration(1.0)))
    most = 2**31 - 1
    asked = ReportDescriptor("USAGE", start_interval=0, num_intervals=most, frequency=most, repeat=-1)
    assert len(due(Asker(asks, Hearing(T0, T0 + HOUR)), asked)) <= 1
    often = ReportDescriptor("USAGE", start_interval=0, num_intervals=most, frequency=1, repeat=-1)
    found = due(Asker(asks, Hearing(0.0, T0 + HOUR)), often)
    assert 0 < len(found) <= MAX_DUE
    assert {len(each.stretches) for each in found} == {MAX_COVERED}


def test_each_round_of_a_loop_has_its_report() -> None:
    asks = event(4, duration=FOREVER)
    found = reports(asks, T0 + 12.5 * HOUR)
    assert found == [(0, 4.0, [0, 1, 2, 3]), (1, 8.0, [0, 1, 2, 3]), (2, 12.0, [0, 1, 2, 3])]
    later = reports(asks, T0 + 1000 * HOUR)
    assert later[-1] == (249, 1000.0, [0, 1, 2, 3])


def test_of_what_was_due_before_the_event_was_heard_only_the_latest_is_made() -> None:
    asked = {"start_interval": 0, "num_intervals": 1, "frequency": 1, "repeat": -1}
    found = reports(event(4), T0 + 3.2 * HOUR, heard_s=T0 + 2.5 * HOUR, **asked)
    assert [number for number, _, _ in found] == [1, 2]


def test_the_moment_of_a_report_is_ours_where_the_vtn_leaves_it() -> None:
    for asks, asked in ((event(4), {"frequency": 0}), (event(0, period=None), {})):
        first = reports(asks, T0 + 1, heard_s=T0, **asked)
        second = reports(asks, T0 + AD_HOC_S + 1, heard_s=T0, **asked)
        assert [number for number, _, _ in first] == [0]
        assert [number for number, _, _ in second] == [1]
    assert reports(event(4), T0 - 10, frequency=0) == []


def test_sub_intervals_keep_the_id_and_open_intervals_are_our_own() -> None:
    def stretches(kind: str) -> list[tuple[float, float, int]]:
        asker = Asker(event(2), Hearing(T0 - 60, T0 + 9 * HOUR), step_s=1800.0)
        (found,) = due(asker, ReportDescriptor("USAGE", report_intervals=kind))
        return [((s.start_s - T0) / HOUR, (s.end_s - T0) / HOUR, s.interval_id) for s in found.stretches]

    halves = [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0)]
    assert stretches("SUB_INTERVALS") == [(*half, n) for half, n in zip(halves, (10, 10, 11, 11), strict=True)]
    assert stretches("OPEN_INTERVALS") == [(*half, n) for n, half in enumerate(halves)]
    assert stretches("INTERVALS") == [(0.0, 1.0, 10), (1.0, 2.0, 11)]


def test_intervals_without_length_are_not_reported_on() -> None:
    assert reports(event(2, period=IntervalPeriod(T0, duration=Duration())), T0 + HOUR) == []


@pytest.mark.parametrize("looped", [False, True])
@given(
    count=st.integers(1, 6),
    start=st.integers(-1, 8),
    covered=st.integers(-1, 8),
    frequency=st.integers(-1, 4),
    repeat=st.integers(-1, 4),
    historical=st.booleans(),
    hours=st.floats(0.0, 60.0),
)
def test_numbers_and_times_grow_whatever_is_asked(
    looped: bool, count: int, start: int, covered: int, frequency: int, repeat: int, historical: bool, hours: float
) -> None:
    asks = event(count, duration=Duration(48 * HOUR) if looped else None)
    asked = ReportDescriptor(
        "USAGE",
        start_interval=start,
        num_intervals=covered,
        frequency=frequency,
        repeat=repeat,
        historical=historical,
    )
    now_s = T0 + hours * HOUR
    found = due(Asker(asks, Hearing(T0 - 1, now_s)), asked)
    assert all(each.due_s <= now_s and each.stretches for each in found)
    assert [each.number for each in found] == sorted({each.number for each in found})
    assert [each.due_s for each in found] == sorted(each.due_s for each in found)
    earlier = due(Asker(asks, Hearing(T0 - 1, now_s - HOUR / 2)), asked)
    if frequency != 0 and hours < 20:
        assert {each.number for each in earlier} <= {each.number for each in found}


def test_the_intervals_of_a_loop_are_made_once_an_hour_for_all_its_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    made, schedule = [], descriptors.schedule
    monkeypatch.setattr(descriptors, "schedule", lambda *asked: made.append(1) or schedule(*asked))
    minutes = event(2, period=IntervalPeriod(T0, duration=Duration(60.0)), duration=FOREVER)
    asked = [ReportDescriptor(kind, start_interval=0, num_intervals=1, frequency=1, repeat=-1) for kind in ("A", "B")]
    lines = Lines()
    for step in range(48):
        hearing = Hearing(T0 - 60, T0 + step * HOUR / 2 + 7)
        for each in asked:
            assert due(Asker(minutes, hearing, lines=lines), each) == due(Asker(minutes, hearing), each)
    assert len(made) == 2 * 48 + 24, "each anew where nothing is remembered, and once an hour"


def test_what_is_remembered_of_an_event_is_made_anew_when_it_changes_or_is_gone() -> None:
    lines, hearing = Lines(), Hearing(T0 - 60, T0)
    line = lines.of(event(2), hearing)
    changed = lines.of(event(3), hearing)
    assert (line.count, changed.count) == (2, 3)
    put_off = lines.of(event(3), replace(hearing, chance=0.5))
    assert put_off is not changed
    lines.keep({"e1": None})
    same = event(3)
    assert lines.of(same, hearing) is lines.of(same, hearing)
    before = lines.of(same, hearing)
    lines.keep(())
    assert lines.of(same, hearing) is not before
