from dataclasses import replace

import pytest

from controller.model.grid import GridEvent
from controller.model.observation import Quality
from controller.openadr.descriptors import Due, Stretch
from controller.openadr.messages import Event, ReportDescriptor, Target, Version
from controller.openadr.report_inputs import ReportInputs, Standing
from controller.openadr.report_messages import AGGREGATED, write_report
from controller.openadr.reports import Reporting, qualities, refusal, report, resource_of, state_report
from tests.controller.openadr.test_report_values import INPUTS, metered
from tests.fakes.vtn.tables import fault_of

WHO = Reporting("ven-1", ("hall-a",), frozenset(("ven-1", "hall-a", "north")), "openadr:utility")
DUE = Due(3, 3600.0, (Stretch(0.0, 1800.0, 7), Stretch(1800.0, 3600.0, 8)))


def made(descriptor: ReportDescriptor, inputs: ReportInputs = INPUTS) -> dict[str, object]:
    asks = Event("e1", "p1", report_descriptors=(ReportDescriptor("READING"), descriptor))
    return write_report(report(asks, 1, DUE, inputs, WHO))


def test_each_interval_has_its_value_and_beside_it_its_quality() -> None:
    content = made(ReportDescriptor("USAGE"), replace(INPUTS, power=metered(40e3, None)))
    assert content["reportName"] == "USAGE-1-3"
    first, second = content["resources"][0]["intervals"]
    assert first["payloads"] == [{"type": "USAGE", "values": [20.0]}, {"type": "DATA_QUALITY", "values": ["OK"]}]
    assert second["payloads"] == [{"type": "DATA_QUALITY", "values": ["MISSING"]}]
    assert first["id"] == 7
    assert first["intervalPeriod"] == {"start": "1970-01-01T00:00:00Z", "duration": "PT30M"}
    described = content["payloadDescriptors"][0]
    assert (described["payloadType"], described["readingType"], described["units"]) == ("USAGE", "DIRECT_READ", "KWH")


@pytest.mark.parametrize(
    ("asked", "quality", "labelled"),
    [
        ("DIRECT_READ", Quality.DIRECT, "DIRECT_READ"),
        ("DIRECT_READ", Quality.ESTIMATED, "ESTIMATED"),
        (None, Quality.EMULATED, "ESTIMATED"),
        ("ESTIMATED", Quality.DIRECT, "DIRECT_READ"),
        ("MEAN", Quality.ESTIMATED, "MEAN"),
    ],
)
def test_no_estimate_is_called_a_direct_reading(asked: str | None, quality: Quality, labelled: str) -> None:
    inputs = replace(INPUTS, power=metered(1e3, 2e3, quality=quality))
    content = made(ReportDescriptor("DEMAND", reading_type=asked), inputs)
    assert content["payloadDescriptors"][0]["readingType"] == labelled


def test_what_is_to_come_is_called_a_forecast() -> None:
    content = made(ReportDescriptor("USAGE", reading_type="DIRECT_READ", historical=False))
    assert content["payloadDescriptors"][0]["readingType"] == "FORECAST"


def test_levels_are_whole_numbers_and_states_are_words() -> None:
    level = made(ReportDescriptor("SIMPLE_LEVEL"))["resources"][0]["intervals"][0]["payloads"][0]
    assert str(level["values"]) == "[2]"
    content = made(ReportDescriptor("OPERATING_STATE"))
    assert content["resources"][0]["intervals"][0]["payloads"][0]["values"] == ["RUNNING_CURTAILED"]
    assert "readingType" not in content["payloadDescriptors"][0]


@pytest.mark.parametrize("version", list(Version))
def test_a_server_of_each_version_takes_it(version: Version) -> None:
    asks = Event("e1", "p1", report_descriptors=(ReportDescriptor("USAGE"),))
    content = write_report(report(asks, 0, DUE, INPUTS, WHO), version)
    assert fault_of(str(version), "reports", content) is None
    assert ("programID" in content) is (version is Version.V3_0)


@pytest.mark.parametrize(
    ("descriptor", "said"),
    [
        (ReportDescriptor("STORAGE_CHARGE_LEVEL"), "not reported"),
        (ReportDescriptor("USAGE", units="VOLTS"), "KWH or GHG, not in 'VOLTS'"),
        (ReportDescriptor("USAGE", reading_type="GUESSED"), "'GUESSED' is not known"),
        (ReportDescriptor("USAGE", reading_type="PEAK"), "ask for DEMAND"),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(descriptor: ReportDescriptor, said: str) -> None:
    assert said in (refusal(descriptor, WHO) or "")


def test_a_report_asked_of_others_is_not_ours() -> None:
    assert refusal(ReportDescriptor("USAGE", targets=(Target("south"),)), WHO) == ""
    assert refusal(ReportDescriptor("USAGE", targets=(Target("north"),)), WHO) is None


def test_several_loads_behind_one_meter_are_told_as_an_aggregate() -> None:
    asked = ReportDescriptor("USAGE")
    assert resource_of(asked, WHO) == "hall-a"
    assert resource_of(replace(asked, aggregate=True), WHO) == AGGREGATED
    assert resource_of(asked, Reporting("ven-1", ("hall-a", "hall-b"))) == AGGREGATED
    assert resource_of(asked, Reporting("ven-1")) == "ven-1"


def test_the_state_is_that_of_the_moment() -> None:
    asks = Event("e1", "p1")
    limits = (GridEvent("e", 55e3, 3600.0, 7200.0, 0.0),)

    def state(call_id: str = "e1", source: str = WHO.source, is_refused: bool = False, **known: object) -> object:
        own = {"limits": known.pop("limits", ()), "opted_out": known.pop("opted_out", None)}
        standing = Standing(source, call_id, **own, is_unresolved=bool(known.pop("is_unresolved", False)))
        inputs = replace(INPUTS, standings=(standing,), **known)
        sent = state_report(asks, inputs, WHO, 300.0, is_refused=is_refused)
        return sent.intervals[0].payloads[0].values[0]

    assert state() == "RUNNING_NORMAL"
    assert state(limits=limits, now_s=3599.0) == "RUNNING_NORMAL"
    assert state(limits=limits, now_s=3600.0) == "RUNNING_CURTAILED"
    assert state(limits=limits, now_s=3600.0, idle_w=60e3) == "IDLE_CURTAILED"
    assert state(limits=limits, now_s=3600.0, opted_out=(0.0, 7200.0)) == "RUNNING_OPTED_OUT"
    assert state(limits=limits, now_s=7200.0, power=()) == "NORMAL"
    assert state("e1.2", limits=limits, now_s=3600.0) == "RUNNING_CURTAILED", "the second call of the event"
    assert state("e2", limits=limits, now_s=3600.0) == "RUNNING_NORMAL", "another event is in force"
    assert state("e2", opted_out=(0.0, 7200.0), now_s=3600.0) == "RUNNING_NORMAL", "another one was opted out of"
    assert state("e1", "openadr:other", limits=limits, now_s=3600.0) == "RUNNING_NORMAL"
    assert state(is_unresolved=True) == state(is_refused=True) == "ERROR"
    assert state("e2", is_unresolved=True) == "RUNNING_NORMAL"


def test_the_qualities_of_a_report_are_counted_by_value() -> None:
    asks = Event("e1", "p1", report_descriptors=(ReportDescriptor("USAGE"),))
    inputs = replace(INPUTS, power=metered(40e3, None))
    assert qualities(report(asks, 0, DUE, inputs, WHO)) == ("OK", "MISSING")


def test_the_state_of_one_load_bears_its_name() -> None:
    assert state_report(Event("e1", "p1"), INPUTS, WHO, 300.0).resource == "hall-a"
    several = replace(WHO, resources=("hall-a", "hall-b"))
    assert state_report(Event("e1", "p1"), INPUTS, several, 300.0).resource == AGGREGATED
