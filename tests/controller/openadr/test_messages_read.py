import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import MessageError
from controller.openadr import messages_read as read
from controller.openadr.messages import MAX_INTERVALS, EventDescriptor, Point, Target
from controller.openadr.times import FOREVER, Duration

EVENT = {
    "id": "e-1",
    "createdDateTime": "2026-06-15T15:51:29.000Z",
    "modificationDateTime": "2026-06-15T16:00:00.000Z",
    "objectType": "EVENT",
    "programID": "44",
    "eventName": "shed",
    "duration": "P9999Y",
    "priority": 0,
    "targets": ["group-1"],
    "reportDescriptors": [{"payloadType": "USAGE", "readingType": "DIRECT_READ", "frequency": 0}],
    "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}],
    "intervalPeriod": {"start": "0001-01-01", "duration": "PT1H", "randomizeStart": "PT5M"},
    "intervals": [
        {"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [10.0]}]},
        {
            "id": 7,
            "intervalPeriod": {"duration": "PT2H"},
            "payloads": [{"type": "CURVE", "values": [{"x": 1, "y": 2}]}],
        },
    ],
    "anExtension": {"is": "passed over"},
}
READERS = [
    read.read_event,
    read.read_program,
]


def test_an_event_is_read_whole():
    event = read.read_event(EVENT)
    assert (event.event_id, event.program_id, event.priority) == ("e-1", "44", 0)
    assert event.modified_s == event.created_s + 511
    assert event.duration == FOREVER
    assert event.targets == (Target("group-1"),)
    assert event.descriptors == (EventDescriptor("IMPORT_CAPACITY_LIMIT", "KW"),)
    assert event.period.is_now
    assert event.period.duration == Duration(3600.0)
    assert event.period.randomize_s == 300.0
    assert event.intervals[1].payloads[0].values == (Point(1.0, 2.0),)
    assert event.intervals[1].period.start_s is None
    assert event.report_descriptors[0].frequency == 0
    assert event.report_descriptors[0].repeat == 1


def test_targets_of_3_0_keep_their_kinds():
    event = read.read_event({**EVENT, "targets": [{"type": "GROUP", "values": ["a", "b"]}]})
    assert event.targets == (Target("a", "GROUP"), Target("b", "GROUP"))


def test_a_report_only_event_has_no_intervals():
    assert read.read_event({"id": "e", "programID": "p", "intervals": None}).intervals == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "event.id: it is missing"),
        ({"id": "a/b"}, "event.id: 'a/b' is not an id"),
        ({"programID": 7}, "event.programID: 7 is not text"),
        ({"priority": -1}, "event.priority: -1 is not a whole number from 0"),
        ({"duration": "1 hour"}, "event.duration: '1 hour' is not a duration"),
        ({"modificationDateTime": "yesterday"}, "event.modificationDateTime: 'yesterday' is not a moment"),
        ({"intervalPeriod": {"start": "2026-02-30T00:00:00Z"}}, "event.intervalPeriod.start: .* is not a moment"),
        ({"intervalPeriod": {"start": "2026-02-03T00:00:00"}}, "event.intervalPeriod.start: .* has no offset"),
        ({"intervalPeriod": {"randomizeStart": "P2D"}}, "event.intervalPeriod.randomizeStart: .* more than a day"),
        ({"intervals": [{"id": 0}]}, r"event.intervals\[0\].payloads: it is missing"),
        ({"intervals": [{"id": 0, "payloads": [{"type": "SIMPLE"}]}]}, r"payloads\[0\].values: it is missing"),
        (
            {"intervals": [{"id": 0, "payloads": [{"type": "X", "values": [[]]}]}]},
            r"values\[0\]: a list is not a number",
        ),
        ({"intervals": [{}] * (MAX_INTERVALS + 1)}, f"event.intervals: {MAX_INTERVALS + 1} entries; at most"),
        ({"targets": [3]}, r"event.targets\[0\]: 3 is not an object"),
        ({"targets": [{"type": "GROUP", "values": [None]}]}, r"event.targets\[0\].values\[0\]: None is not text"),
        ({"payloadDescriptors": [{}]}, r"event.payloadDescriptors\[0\].payloadType: it is missing"),
    ],
)
def test_a_bad_field_is_named_by_its_place_and_value(change, said):
    with pytest.raises(MessageError, match=said):
        read.read_event({**EVENT, **change})


def test_a_programme_tells_units_of_events_alone_and_its_zone():
    program = read.read_program(
        {
            "id": "44",
            "programName": "shed",
            "timeZoneOffset": "-PT7H",
            "payloadDescriptors": [
                {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "USAGE", "units": "KWH"},
                {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "PRICE", "units": "KWH", "currency": "USD"},
            ],
        }
    )
    assert program.descriptors == (EventDescriptor("PRICE", "KWH", "USD"),)
    assert program.zone_s == -25_200.0


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(anything)
def test_any_json_in_place_of_a_message_raises_its_own_error_alone(value):
    for reader in READERS:
        with pytest.raises(MessageError):
            reader(value)


def place_of(read_it):
    """Where the fault was found; ``sound`` where there was none."""
    try:
        read_it()
    except MessageError as error:
        return error.source
    return "sound"


@given(st.sampled_from(sorted(EVENT)), anything)
def test_any_json_in_place_of_a_field_raises_its_own_error_alone(field, value):
    assert place_of(lambda: read.read_event({**EVENT, field: value})).startswith((f"event.{field}", "sound"))
