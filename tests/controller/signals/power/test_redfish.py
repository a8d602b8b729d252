import json
import re

import pytest

from controller.signals.power.redfish import power_w
from tests.fakes.fake_bmc import environment, power, sensor


@pytest.mark.parametrize(
    "document",
    [
        environment(374),
        environment(374, Status={"State": "Enabled", "Health": "Warning"}),
        environment(374, Status={"State": None, "Health": None}),
        {"PowerWatts": {"Reading": 374.0, "ReadingUnits": "W"}},
        sensor(374),
        power(374),
        power(374, Status={"State": "Enabled", "Health": "OK"}),
        {"PowerControl": [{"PowerConsumedWatts": 374}], "PowerSupplies": [{"Status": {"Health": "Critical"}}]},
    ],
)
def test_power_by_each_resource_that_tells_it(document):
    assert power_w(document) == 374.0


def test_the_present_resource_counts_before_the_deprecated_one():
    assert power_w(environment(374) | power(1000)) == 374.0


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        ("null", "null or absent: the machine does not know"),
        ("NaN", "nan W, which no machine draws"),
        ("Infinity", "inf W, which no machine draws"),
        ("-374", "-374 W, which no machine draws"),
        ("1e8", "100000000.0 W, which no machine draws"),
        ("1" + "0" * 400, "W, which no machine draws"),
        ("0", "0 W, which no machine draws that answers"),
        ('"374"', "'374' and no number"),
        ("true", "True and no number"),
        ("[374]", "list and no number"),
    ],
)
@pytest.mark.parametrize(
    ("form", "name"),
    [
        ('{"PowerWatts": {"Reading": %s}}', "PowerWatts.Reading"),
        ('{"Reading": %s, "ReadingUnits": "W"}', "Reading"),
        ('{"PowerControl": [{"PowerConsumedWatts": %s}]}', "PowerControl[0].PowerConsumedWatts"),
    ],
)
def test_what_is_no_power_is_told_by_its_name(form, name, reading, told):
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        power_w(json.loads(form % reading))
    assert str(caught.value).startswith(f"{name} is ")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (sensor(90, "Cel"), "ReadingUnits is 'Cel', not 'W'"),
        (sensor(90, None), "ReadingUnits is None, not 'W'"),
        ({"Reading": 90}, "ReadingUnits is None, not 'W'"),
        ({"PowerWatts": {"Reading": 9, "ReadingUnits": "kW"}}, "ReadingUnits is 'kW', not 'W'"),
        (sensor(90, State="UnavailableOffline"), "the resource is in state 'UnavailableOffline', not 'Enabled'"),
        (sensor(90, Health="Critical"), "the health of the resource is 'Critical'; see the machine's own log"),
        (environment(9, Status={"State": "Absent"}), "the resource is in state 'Absent'"),
        ({"PowerWatts": {"Reading": 9, "Status": {"State": "Disabled"}}}, "PowerWatts is in state 'Disabled'"),
        (power(9, Status={"Health": "Critical"}), "the health of PowerControl[0] is 'Critical'"),
        ({"PowerWatts": None}, "PowerWatts is None and no object"),
        ({"PowerControl": []}, "PowerControl is empty; look for EnvironmentMetrics or a Sensor"),
        ({"PowerControl": {"0": {}}}, "PowerControl is empty"),
        ({"PowerControl": [7]}, "PowerControl[0] is 7 and no object"),
        ([], "the answer is list and no object"),
        ("on", "the answer is 'on' and no object"),
        ({}, "neither PowerWatts, Reading nor PowerControl ('no @odata.type')"),
        ({"@odata.type": "#Thermal.v1_0_0.Thermal"}, "('#Thermal.v1_0_0.Thermal'); name a resource that tells power"),
    ],
)
def test_what_cannot_be_believed_is_told(document, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        power_w(document)


def test_a_chassis_leads_to_the_resource_that_tells_its_power():
    links = {name: {"@odata.id": f"/redfish/v1/Chassis/1/{name}"} for name in ("Power", "EnvironmentMetrics")}
    with pytest.raises(ValueError, match="write '/redfish/v1/Chassis/1/EnvironmentMetrics', its EnvironmentMetrics"):
        power_w({"@odata.type": "#Chassis.v1_21_0.Chassis", **links})
    with pytest.raises(ValueError, match="neither PowerWatts"):
        power_w({"Power": {"@odata.id": 7}})
