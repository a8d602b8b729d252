import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.model.call import Asked, Commitment
from controller.model.grid import FOREVER_S
from controller.openadr.events import LIMITS, Meaning, Span, Terms, is_ours, meaning
from controller.openadr.levels import LEVELS
from controller.openadr.messages import EventDescriptor, Target
from controller.openadr.messages_read import read_event
from controller.openadr.schedule import Hearing
from tests.controller.openadr.test_schedule import AT_FIVE, FIVE
from tests.fakes.vtn.server import interval

TERMS = Terms("openadr:utility", "shed")
HEARD = Hearing(FIVE - 600, FIVE - 600)
HOUR = {"start": AT_FIVE, "duration": "PT1H"}


def read(*intervals, terms=TERMS, hearing=HEARD, modified_s=FIVE - 900, **fields):
    fields = {"intervalPeriod": HOUR} | fields
    event = read_event({"id": "e-1", "programID": "p", "intervals": list(intervals), **fields})
    return meaning(event, terms, hearing, modified_s)


def asked(found: Meaning):
    return [
        (part.start_s - FIVE, part.end_s - FIVE, part.commitment.asked, part.commitment.value)
        for call in found.calls
        for part in call.intervals
    ]


@pytest.mark.parametrize(
    ("kind", "value", "commitment"),
    [
        ("SIMPLE", 0, Commitment(Asked.NOTHING)),
        ("SIMPLE", 3, Commitment(Asked.LEVEL, 3.0)),
        ("CONTROL_LEVEL_OFFSET", 10, Commitment(Asked.LEVEL, 10.0)),
        ("CONTROL_LEVEL_OFFSET", -4, Commitment(Asked.NOTHING)),
        ("IMPORT_CAPACITY_LIMIT", 40.5, Commitment(Asked.AT_MOST_W, 40_500.0)),
        ("IMPORT_CAPACITY_LIMIT", 0, Commitment(Asked.AT_MOST_W, 0.0)),
        ("DISPATCH_SETPOINT", 0.5, Commitment(Asked.AT_MOST_W, 500.0)),
        ("DISPATCH_SETPOINT_RELATIVE", -15, Commitment(Asked.BELOW_PRESENT_W, 15_000.0)),
        ("DISPATCH_SETPOINT_RELATIVE", 15, Commitment(Asked.NOTHING)),
    ],
)
def test_each_type_asks_for_what_the_specification_says(kind, value, commitment):
    (call,) = read(interval(0, kind, value), priority=0).calls
    (part,) = call.intervals
    assert part.commitment == commitment
    assert (part.start_s, part.end_s) == (FIVE, FIVE + 3600)
    assert (call.call_id, call.source, call.programme, call.priority) == ("e-1", "openadr:utility", "shed", 0)
    assert (call.received_s, call.modified_s) == (FIVE - 600, FIVE - 900)


def test_a_relative_set_point_tells_the_reduction_where_the_programme_has_it_so():
    shed = dataclasses.replace(TERMS, relative_sheds=True)
    assert asked(read(interval(0, "DISPATCH_SETPOINT_RELATIVE", 15), terms=shed))[0][2:] == (
        "below_present_w",
        15_000.0,
    )


def test_a_level_in_percent_is_the_one_that_is_configured_for_it():
    terms = dataclasses.replace(TERMS, percent_levels={10: 1, 25: 2})
    percent = [{"payloadType": "CONTROL_LEVEL_OFFSET_PERCENT", "units": "PERCENT"}]
    found = read(interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.2), terms=terms, payloadDescriptors=percent)
    assert asked(found) == [(0, 3600, Asked.LEVEL, 2.0)]
    assert found.ignored == ()


def test_a_level_in_percent_that_is_to_be_passed_over_leaves_what_stands_beside_it():
    both = interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.2)
    both["payloads"].append({"type": "SIMPLE", "values": [2]})
    found = read(both, terms=dataclasses.replace(TERMS, percent_levels={}))
    assert asked(found) == [(0, 3600, Asked.LEVEL, 2.0)]
    assert found.ignored == ("CONTROL_LEVEL_OFFSET_PERCENT",)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("CONTROL_LEVEL_OFFSET", -4), ("CONTROL_LEVEL_OFFSET_PERCENT", -0.2), ("DISPATCH_SETPOINT_RELATIVE", 15)],
)
def test_who_asks_for_more_load_is_not_followed_and_it_is_told(kind, value):
    found = read(interval(0, kind, value), terms=dataclasses.replace(TERMS, percent_levels={10: 1}))
    assert asked(found) == [(0, 3600, Asked.NOTHING, 0.0)]
    assert found.ignored == (f"{kind} that asks for more load",)


def test_units_are_the_event_s_before_the_programme_s():
    terms = dataclasses.replace(TERMS, descriptors=(EventDescriptor("IMPORT_CAPACITY_LIMIT", "MW"),))
    limit = interval(0, "IMPORT_CAPACITY_LIMIT", 2)
    assert asked(read(limit, terms=terms))[0][3] == 2e6
    own = [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}]
    assert asked(read(limit, terms=terms, payloadDescriptors=own))[0][3] == 2e3


@pytest.mark.parametrize(
    ("made", "fields", "said"),
    [
        (interval(0, "SIMPLE", 4), {}, r"intervals\[id 0\].payloads\[0\].values\[0\]: 4.0 is not a level of SIMPLE"),
        (interval(0, "SIMPLE", 1.5), {}, "1.5 is not a level"),
        (interval(0, "SIMPLE", "1"), {}, "'1' is not a number"),
        (interval(0, "SIMPLE", True), {}, "True is not a number"),
        (interval(7, "SIMPLE"), {}, r"intervals\[id 7\].payloads\[0\].values: SIMPLE has no value"),
        (interval(0, "CONTROL_LEVEL_OFFSET", 11), {}, "from -10 to 10"),
        (interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.25), {}, "set percent_levels"),
        (
            interval(0, "CONTROL_LEVEL_OFFSET_PERCENT", 0.25),
            {"payloadDescriptors": [{"payloadType": "CONTROL_LEVEL_OFFSET_PERCENT", "units": "KW"}]},
            r"payloadDescriptors\[CONTROL_LEVEL_OFFSET_PERCENT\].units: 'KW' is not a percentage",
        ),
        (interval(0, "IMPORT_CAPACITY_LIMIT", -1), {}, "-1.0 is less than 0"),
        (interval(0, "IMPORT_CAPACITY_LIMIT", 1e12), {}, "at_most_w 1000000000000000.0 is outside"),
        (
            interval(0, "DISPATCH_SETPOINT", 5),
            {"payloadDescriptors": [{"payloadType": "DISPATCH_SETPOINT", "units": "KWH"}]},
            r"payloadDescriptors\[DISPATCH_SETPOINT\].units: 'KWH' is not a power",
        ),
        (interval(0, "PRICE", 0.2), {}, "prices name no currency"),
        (interval(0, "SIMPLE", 1), {"intervalPeriod": {"start": AT_FIVE}}, "nobody says how long this SIMPLE is"),
        (
            interval(0, "SIMPLE", 1, 2),
            {"intervalPeriod": {"start": AT_FIVE, "duration": "P9999Y"}},
            "2 values cannot share what has no end",
        ),
        (interval(0, "GHG", -5), {}, "-5.0 is less than 0"),
    ],
)
def test_what_cannot_be_followed_refuses_the_event_and_is_named(made, fields, said):
    with pytest.raises(MessageError, match=said):
        read(made, **fields)


def test_types_that_are_not_ours_are_passed_over_and_named():
    mixed = {"id": 0, "payloads": [{"type": "EXPORT_CAPACITY_LIMIT", "values": [4]}, {"type": "CURVE", "values": []}]}
    mixed["payloads"].append({"type": "IMPORT_CAPACITY_LIMIT", "values": [10.0]})
    found = read(mixed)
    assert found.ignored == ("CURVE", "EXPORT_CAPACITY_LIMIT")
    assert asked(found) == [(0, 3600, "at_most_w", 10_000.0)]


def test_several_values_share_the_interval():
    found = read(interval(0, "IMPORT_CAPACITY_LIMIT", 10, 8, 6))
    assert asked(found) == [(n * 1200, (n + 1) * 1200, "at_most_w", kw * 1e3) for n, kw in enumerate((10, 8, 6))]


def test_prices_and_emissions_are_no_calls():
    descriptors = [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"}]
    both = {"id": 0, "payloads": [{"type": "PRICE", "values": [0.17, -0.03]}, {"type": "GHG", "values": [310]}]}
    found = read(both, payloadDescriptors=descriptors)
    assert found.calls == ()
    assert found.price_usd_per_mwh == (Span(FIVE, FIVE + 1800, 170.0), Span(FIVE + 1800, FIVE + 3600, -30.0))
    assert found.carbon_kg_per_mwh == (Span(FIVE, FIVE + 3600, 310.0),)


def test_the_capacity_that_was_subscribed_to_is_no_call_and_may_have_no_end():
    found = read(interval(0, "IMPORT_CAPACITY_SUBSCRIPTION", 240), intervalPeriod={"start": AT_FIVE})
    assert found.calls == ()
    assert found.subscription_w == (Span(FIVE, FOREVER_S, 240_000.0),)
    assert read(interval(0, "IMPORT_CAPACITY_RESERVATION", 12)).reservation_w == (Span(FIVE, FIVE + 3600, 12_000.0),)


def test_alerts_are_told_and_followed_where_a_level_is_configured():
    terms = dataclasses.replace(TERMS, alerts={"ALERT_GRID_EMERGENCY": 3})
    found = read(interval(0, "ALERT_GRID_EMERGENCY", "shed what you can"), terms=terms)
    assert asked(found) == [(0, 3600, "level", 3.0)]
    assert found.notices[0].text == "shed what you can"
    weather = read(interval(0, "ALERT_WIND", "storm"), terms=terms)
    assert weather.calls == ()
    assert weather.notices[0].kind == "ALERT_WIND"


def test_an_alert_that_is_not_cleared_has_no_end():
    terms = dataclasses.replace(TERMS, alerts={"ALERT_BLACK_START": 3})
    found = read(interval(0, "ALERT_BLACK_START", ""), terms=terms, intervalPeriod={"start": "0001-01-01"})
    assert asked(found) == [(-600, FOREVER_S - FIVE, "level", 3.0)]


def test_zero_length_means_nothing():
    cancelled = read(interval(0, "SIMPLE", 3), intervalPeriod={"start": "0001-01-01", "duration": "PT0S"})
    assert cancelled.calls == ()
    assert cancelled.end_s <= FIVE


def test_two_types_are_two_calls_and_overlaps_are_followed_side_by_side():
    both = {"id": 0, "payloads": [{"type": "SIMPLE", "values": [1]}, {"type": "IMPORT_CAPACITY_LIMIT", "values": [10]}]}
    assert [call.call_id for call in read(both).calls] == ["e-1", "e-1.2"]
    long = interval(0, "SIMPLE", 1, start=AT_FIVE, duration="PT3H")
    short = interval(1, "SIMPLE", 2, start="2026-07-01T18:00:00Z", duration="PT1H")
    assert asked(read(long, short)) == [(0, 10_800, "level", 1.0), (3600, 7200, "level", 2.0)]


def test_what_follows_at_once_and_asks_for_the_same_is_one_interval():
    found = read(interval(0, "SIMPLE", 2), interval(1, "SIMPLE", 2), interval(2, "SIMPLE", 1))
    assert asked(found) == [(0, 7200, "level", 2.0), (7200, 10_800, "level", 1.0)]


def test_too_many_intervals_for_a_call_are_refused():
    many = [interval(n, "IMPORT_CAPACITY_LIMIT", n) for n in range(1025)]
    with pytest.raises(MessageError, match="1025 intervals; 1 to 1024 are followed"):
        read(*many, intervalPeriod={"start": AT_FIVE, "duration": "PT1M"})


def test_more_overlaps_than_anybody_means_are_refused():
    at_once = {"start": AT_FIVE, "duration": "PT1H"}
    many = [interval(n, "IMPORT_CAPACITY_LIMIT", n, **at_once) for n in range(17)]
    assert len(read(*many[:16]).calls) == 16
    with pytest.raises(MessageError, match="more than 16 overlap at once"):
        read(*many)


def test_a_loop_grows_younger_with_each_day_that_it_is_told_further():
    loop = {"intervalPeriod": {"start": AT_FIVE, "duration": "PT12H"}, "duration": "P9999Y"}
    levels = interval(0, "SIMPLE", 1), interval(1, "SIMPLE", 2)
    (today,) = read(*levels, **loop, hearing=Hearing(FIVE, FIVE)).calls
    (same,) = read(*levels, **loop, hearing=Hearing(FIVE, FIVE + 3600)).calls
    (next_day,) = read(*levels, **loop, hearing=Hearing(FIVE, FIVE + 86_500)).calls
    assert today.modified_s == same.modified_s < next_day.modified_s < today.modified_s + 1
    assert next_day.end_s > today.end_s


def test_targets_of_3_1_are_groups_and_those_of_3_0_are_told_by_kind():
    own = frozenset(("site-1", "hall", "north"))
    assert is_ours((), own)
    assert is_ours((Target("south"), Target("north")), own)
    assert not is_ours((Target("south"),), own)
    assert is_ours((Target("site-1", "VEN_NAME"), Target("north", "GROUP"), Target("south", "GROUP")), own)
    assert not is_ours((Target("site-2", "VEN_NAME"), Target("north", "GROUP")), own)


kinds = st.sampled_from([*sorted(LIMITS), *sorted(LEVELS), "DISPATCH_SETPOINT_RELATIVE", "PRICE", "ALERT_OTHER", "X"])
lengths = st.sampled_from(["PT0S", "PT1M", "PT1H", "P1M", "P9999Y"])
starts = st.sampled_from([AT_FIVE, "0001-01-01", "2026-07-01T18:30:00Z", "2026-07-01T16:59:00Z"])
random_periods = st.fixed_dictionaries({}, optional={"start": starts, "duration": lengths, "randomizeStart": lengths})
random_intervals = st.builds(
    lambda n, kind, values, period: interval(n, kind, *values) | ({"intervalPeriod": period} if period else {}),
    st.integers(0, 9),
    kinds,
    st.lists(st.integers(-12, 12) | st.floats(allow_nan=False, allow_infinity=False) | st.just("text"), max_size=3),
    random_periods,
)


@given(
    st.lists(random_intervals, max_size=5), random_periods, lengths | st.none(), st.floats(-1, 1), st.integers(0, 10**6)
)
def test_any_event_is_either_refused_by_name_or_comes_to_calls_that_can_be_followed(
    intervals, period, duration, chance, later_s
):
    content = {"id": "e-1", "programID": "p", "intervals": intervals, "intervalPeriod": period, "duration": duration}
    try:
        event = read_event(content)
        found = meaning(event, TERMS, Hearing(FIVE, FIVE + later_s, chance), FIVE)
    except MessageError:
        return
    for call in found.calls:
        assert call.received_s == FIVE
        assert call.end_s <= found.end_s <= FOREVER_S
        assert all(a.end_s <= b.start_s for a, b in zip(call.intervals, call.intervals[1:], strict=False))
    assert len({call.call_id for call in found.calls}) == len(found.calls)
