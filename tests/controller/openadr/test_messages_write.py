import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.openadr.messages import (
    Event,
    EventDescriptor,
    Interval,
    IntervalPeriod,
    ObjectOperation,
    Operation,
    Point,
    Program,
    ReportDescriptor,
    Subscription,
    Target,
    ValuesMap,
    Version,
)
from controller.openadr.messages_read import read_event, read_program
from controller.openadr.messages_write import (
    write_event,
    write_notification,
    write_program,
    write_resource_request,
    write_subscription,
    write_ven_request,
)
from controller.openadr.registration_read import read_notification, read_subscription
from controller.openadr.times import FOREVER, Duration
from tests.fakes.vtn.tables import fault_of, known

names = st.text(min_size=1, max_size=20)
ids = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=12)
times_s = st.integers(0, 4_000_000_000).map(float)
durations = st.just(FOREVER) | st.builds(Duration, st.integers(0, 10**6).map(float), st.integers(0, 600))
values = st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=9) | st.builds(Point, times_s, times_s)
values_maps = st.builds(ValuesMap, names, st.lists(values, max_size=3).map(tuple))
periods = st.builds(
    IntervalPeriod, times_s | st.none(), st.just(False), durations | st.none(), st.integers(0, 3600).map(float)
) | st.builds(IntervalPeriod, is_now=st.just(True), duration=durations | st.none())
intervals = st.builds(
    Interval, st.integers(-5, 10**6), st.lists(values_maps, max_size=3).map(tuple), periods | st.none()
)
report_descriptors = st.builds(
    ReportDescriptor,
    names,
    names | st.none(),
    names | st.none(),
    st.just(()),
    st.booleans(),
    *[st.integers(-1, 99)] * 2,
    st.booleans(),
    *[st.integers(-1, 99)] * 2,
    names | st.none(),
)
events = st.builds(
    Event,
    ids,
    ids,
    names | st.none(),
    times_s | st.none(),
    times_s | st.none(),
    durations | st.none(),
    st.integers(0, 99) | st.none(),
    st.lists(st.builds(Target, names), max_size=3).map(tuple),
    st.lists(report_descriptors, max_size=2).map(tuple),
    st.lists(st.builds(EventDescriptor, names, names | st.none(), names | st.none()), max_size=2).map(tuple),
    periods | st.none(),
    st.lists(intervals, max_size=3).map(tuple),
)


@given(events)
def test_an_event_comes_back_as_it_was_written(event):
    sent = json.loads(json.dumps(write_event(event)))
    assert set(sent) <= known("3.1.0", "events")
    assert read_event(sent) == event


@given(events)
def test_an_event_of_3_0_keeps_to_its_own_fields(event):
    sent = write_event(event, Version.V3_0)
    assert set(sent) <= known("3.0.1", "events")
    assert fault_of("3.0.1", "events", sent) is None
    assert read_event(sent).intervals == event.intervals


def test_a_programme_comes_back_in_either_version():
    program = Program("44", "shed", 1e9, (EventDescriptor("PRICE", "KWH", "USD"),), (Target("a", "GROUP"),), -25_200.0)
    assert read_program(write_program(program, Version.V3_0)) == program
    sent = write_program(program)
    assert sent["targets"] == ["a"]
    assert "timeZoneOffset" not in sent


@pytest.mark.parametrize("version", list(Version))
def test_requests_of_a_ven_are_what_its_version_takes(version):
    ven = write_ven_request("site-1", {"LOCATION": "here"}, version)
    assert fault_of(version, "vens", ven) is None
    assert "targets" not in ven
    resource = write_resource_request("hall-1", "ven-0", {}, version)
    assert fault_of(version, "resources", resource) is None
    assert ("venID" in resource) == (version is Version.V3_1)


def test_a_subscription_comes_back():
    operation = ObjectOperation(("EVENT",), (Operation.CREATE, Operation.DELETE), "https://site/hook", "t")
    subscription = Subscription(None, "site-1", (operation,), "44", (Target("group-1"),))
    sent = write_subscription(subscription)
    assert fault_of("3.1.0", "subscriptions", sent) is None
    assert read_subscription(sent) == subscription


@pytest.mark.parametrize("version", list(Version))
def test_a_notification_comes_back(version):
    event = write_event(Event("e-1", "44"), version)
    told = read_notification(json.dumps(write_notification("EVENT", Operation.UPDATE, event, version)))
    assert told.operation is Operation.UPDATE
    assert told.event == Event("e-1", "44")
