from pathlib import Path

import pytest

from controller.signals.power.meter_scope import MeterScope
from controller.signals.power.redfish_meter import MAX_BODY_BYTES
from tests.fakes.power_settings import refusal, signals

CHASSIS = "/redfish/v1/Chassis/1"


def spec(text):
    ((name, made),) = signals(text).power_specs().meters
    assert name == "redfish"
    return made


def test_machines_with_a_common_path_or_each_with_its_own():
    made = spec(
        """
        timeout_s: 2
        meter:
          - kind: redfish
            urls: [https://bmc-1, https://bmc-2/]
            path: /redfish/v1/Chassis/1/Power
            user: meter
            token_file: /run/secrets/bmc
            ca_file: /etc/bmc-ca.pem
            aux_w: 1500
        """
    )
    assert made.urls == (f"https://bmc-1{CHASSIS}/Power", f"https://bmc-2{CHASSIS}/Power")
    assert (made.http.user, made.http.token_file, made.http.ca_file) == (
        "meter",
        Path("/run/secrets/bmc"),
        Path("/etc/bmc-ca.pem"),
    )
    assert (made.http.timeout_s, made.http.token_header, made.http.max_body_bytes) == (
        5.0,
        "X-Auth-Token",
        MAX_BODY_BYTES,
    )
    assert (made.period_s, made.wait_s) == (5.0, 2.0)
    assert made.scope == MeterScope(is_it=True, aux_w=1500.0, error_frac=0.05)
    own = (f"https://bmc-1{CHASSIS}/Sensors/TotalPower", f"https://pdu{CHASSIS}/EnvironmentMetrics")
    assert spec(f"{{meter: [{{kind: redfish, urls: {list(own)}}}]}}").urls == own


@pytest.mark.parametrize(
    ("meter", "told"),
    [
        ("urls: []", "at least 1"),
        ("urls: ['bmc-1']", "write http://HOST:PORT"),
        ("urls: ['https://me:s3cret@bmc-1/x']", "write user and token_file"),
        ("urls: ['https://bmc-1']", "'https://bmc-1' names no resource; add path, e.g. /redfish/v1"),
        ("urls: ['https://bmc-1/']", "names no resource"),
        (f"urls: ['https://bmc-1{CHASSIS}/Power#/PowerControl/1']", "a part of a resource; cut it at #"),
        ("urls: ['https://bmc-1'], path: redfish/v1", "String should match pattern"),
        (f"urls: ['https://a{CHASSIS}/Power', 'https://A{CHASSIS}/Power/']", "would be counted twice"),
        (f"urls: ['https://a{CHASSIS}/Power', 'https://a{CHASSIS}/EnvironmentMetrics']", "would be counted twice"),
        ("urls: ['https://a/x', 'https://b/x'], token_file: t", "token is that of one machine; write user"),
        ("urls: ['http://10.0.0.7/x'], user: me, token_file: t", "'http://10.0.0.7/x': token_file would go there"),
        ("urls: ['http://10.0.0.7'], path: /x, token_file: t", "'http://10.0.0.7/x': token_file would go there"),
        ("urls: ['https://a/x'], user: me", "user needs token_file"),
        ("urls: ['https://a/x'], period_s: 0.1", "greater than or equal to 1"),
        ("urls: ['https://a/x'], timeout_s: 60", "less than or equal to 30"),
        ("urls: ['https://a/x'], unit: kW", "unit"),
    ],
)
def test_what_cannot_be_meant_is_refused(meter, told):
    assert told in refusal(f"{{meter: [{{kind: redfish, {meter}}}]}}")


def test_parts_of_a_machine_and_chassis_of_one_controller_are_no_twins():
    urls = [f"https://a{CHASSIS}/Sensors/Psu{n}" for n in (1, 2)] + ["https://a/redfish/v1/Chassis/2/Power"]
    assert len(spec(f"{{meter: [{{kind: redfish, urls: {urls}, token_file: t}}]}}").urls) == 3


def test_a_meter_that_is_slower_than_readings_may_be_old_is_refused():
    slow = "{kind: redfish, urls: ['https://a/x'], period_s: 12, timeout_s: 5}"
    assert "may be 17 s old, signals.stale_s allows 15 s: lower its period_s" in refusal(f"{{meter: [{slow}]}}")
    signals(f"{{stale_s: 17, meter: [{slow}]}}")
    assert "may be 18 s old" in refusal(f"{{meter: [{slow.replace('12, timeout_s: 5', '1, timeout_s: 9')}]}}")
