import pytest

from controller.openadr.messages import Interval, IntervalPeriod, ValuesMap, Version
from controller.openadr.report_messages import Report, ReportPayloadDescriptor, write_report
from controller.openadr.times import Duration
from tests.fakes.vtn.tables import fault_of, known

REPORT = Report(
    event_id="event-1",
    program_id="program-1",
    client_name="ven-1",
    name="USAGE-0-0",
    resource="hall-a",
    descriptors=(ReportPayloadDescriptor("USAGE", "DIRECT_READ", "KWH"), ReportPayloadDescriptor("DATA_QUALITY")),
    intervals=(Interval(0, (ValuesMap("USAGE", (1.5,)),), IntervalPeriod(0.0, duration=Duration(3600.0))),),
)


@pytest.mark.parametrize("version", list(Version))
def test_it_has_the_fields_of_its_version_and_no_others(version: Version) -> None:
    content = write_report(REPORT, version)
    assert fault_of(version.value, "reports", content) is None
    assert set(content) <= known(version.value, "reports")


def test_what_is_not_said_of_a_payload_is_left_out() -> None:
    first, second = write_report(REPORT)["payloadDescriptors"]
    assert first == {
        "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
        "payloadType": "USAGE",
        "readingType": "DIRECT_READ",
        "units": "KWH",
    }
    assert set(second) == {"objectType", "payloadType"}
